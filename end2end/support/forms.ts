// Sends a form without the page: what a person with developer tools, or another site, could do.
import type { Page } from '@playwright/test';

export type Form = { action: string; fields: Record<string, string> };

/** The form around the button of that name. */
export async function formOf(page: Page, button: string): Promise<Form> {
  return page.getByRole('button', { name: button }).evaluate((element) => {
    const { form } = element as HTMLButtonElement;
    if (!form) throw new Error('the button is in no form');
    const fields: Record<string, string> = {};
    new FormData(form, element as HTMLButtonElement).forEach((value, name) => {
      fields[name] = String(value);
    });
    return { action: form.action, fields };
  });
}

/** Posts it with the cookies of the page's session; redirects are answers, not followed. */
export async function post(page: Page, form: Form, headers: Record<string, string> = {}) {
  const { origin } = new URL(form.action);
  const cookies = await page.context().cookies(origin);
  return fetch(form.action, {
    method: 'POST',
    redirect: 'manual',
    headers: {
      Cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; '),
      Origin: origin,
      'Sec-Fetch-Site': 'same-origin',
      Accept: 'text/html',
      ...headers,
    },
    body: new URLSearchParams(form.fields),
  });
}
