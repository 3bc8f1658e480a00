// Everything that reached the browser from the console's origin, to be searched for secrets.
import type { BrowserContext, Request } from '@playwright/test';

type Seen = { where: string; text: string };

export class Watch {
  private readonly seen: Promise<Seen>[] = [];

  constructor(context: BrowserContext, origin: string) {
    // Not on `response`: the body of one that a click cuts short would be waited for without end.
    context.on('requestfinished', (request) => {
      if (request.url().startsWith(`${origin}/`)) this.seen.push(read(request));
    });
    context.on('console', (message) => {
      this.seen.push(Promise.resolve({ where: 'the browser console', text: message.text() }));
    });
  }

  /** How many pages were read whole, so that a test does not pass by seeing nothing. */
  async pages(): Promise<number> {
    const all = await Promise.all(this.seen);
    return all.filter(({ text }) => text.includes('</html>')).length;
  }

  async holding(needle: string | RegExp): Promise<string[]> {
    const all = await Promise.all(this.seen);
    const has = (text: string) => (typeof needle === 'string' ? text.includes(needle) : needle.test(text));
    return all.filter(({ text }) => has(text)).map(({ where }) => where);
  }
}

/** Address, headers and body. The body of a redirect is not kept by the browser. */
async function read(request: Request): Promise<Seen> {
  const response = await request.response();
  const headers = await response?.allHeaders().catch(() => ({}));
  const body = await response?.text().catch(() => '');
  const where = request.url();
  return { where, text: [where, JSON.stringify(headers), body].join('\n') };
}
