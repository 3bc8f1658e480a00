// Everything that reached the browser from the console's origin, to be searched for secrets.
import type { BrowserContext } from '@playwright/test';

export class Watch {
  private readonly seen: Promise<{ where: string; text: string }>[] = [];

  constructor(context: BrowserContext, origin: string) {
    context.on('response', (response) => {
      const url = response.url();
      if (!url.startsWith(`${origin}/`)) return;
      const stream = response.headers()['content-type']?.startsWith('text/event-stream');
      // The body of a redirect is not kept by the browser, that of a stream does not end.
      const body = stream ? Promise.resolve('') : response.text().catch(() => '');
      const headers = response.allHeaders().catch(() => ({}));
      this.seen.push(
        Promise.all([body, headers]).then(([text, all]) => ({
          where: url,
          text: [url, JSON.stringify(all), text].join('\n'),
        })),
      );
    });
    context.on('console', (message) => {
      this.seen.push(Promise.resolve({ where: 'the browser console', text: message.text() }));
    });
  }

  /** How much was seen, so that a test does not pass by seeing nothing. */
  get size() {
    return this.seen.length;
  }

  async holding(needle: string | RegExp): Promise<string[]> {
    const all = await Promise.all(this.seen);
    const has = (text: string) => (typeof needle === 'string' ? text.includes(needle) : needle.test(text));
    return all.filter(({ text }) => has(text)).map(({ where }) => where);
  }
}
