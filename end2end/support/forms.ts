// Posts to the server functions past the buttons: what a person with developer tools could do.
import type { Page } from '@playwright/test';

export type Fields = Record<string, string>;

/** From a script of the page, as a program: the status and the reason tell what came of it. */
export async function postByScript(page: Page, name: string, fields: Fields) {
  return page.evaluate(
    async ([path, body]) => {
      const answer = await fetch(path, { method: 'POST', body: new URLSearchParams(body) });
      return { status: answer.status, text: await answer.text() };
    },
    [`/do/${name}`, fields] as const,
  );
}

/** By a form that the page does not have; ends on the page that the server sends back. */
export async function postByForm(page: Page, name: string, fields: Fields) {
  await Promise.all([
    page.waitForEvent('load'),
    page.evaluate(
      ([action, all]) => {
        const form = Object.assign(document.createElement('form'), { method: 'post', action });
        for (const [name, value] of Object.entries(all)) {
          form.append(Object.assign(document.createElement('input'), { name, value }));
        }
        document.body.append(form);
        form.submit();
      },
      [`/do/${name}`, fields] as const,
    ),
  ]);
}
