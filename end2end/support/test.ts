// The `test` of every spec: a demo for each worker, and a page that must not complain.
import { type ConsoleMessage, test as base, type Page } from '@playwright/test';
import { type Demo, type Person, startDemo } from './demo.ts';

type Fixtures = { complaints: string[] };
type WorkerFixtures = { demo: Demo };

export const test = base.extend<Fixtures, WorkerFixtures>({
  demo: [
    async ({}, use, worker) => {
      const demo = await startDemo(`${worker.project.name}-${worker.workerIndex}`);
      await use(demo);
      await demo.stop();
    },
    { scope: 'worker', timeout: 90_000 },
  ],

  baseURL: async ({ demo }, use) => use(demo.address),

  // A script that throws, or a policy that blocks something of ours, fails the test.
  complaints: [
    async ({ context }, use) => {
      const complaints: string[] = [];
      context.on('weberror', (event) => complaints.push(event.error().message));
      context.on('console', (message) => {
        if (message.type() === 'error' && !isRefusal(message)) complaints.push(message.text());
      });
      await use(complaints);
      expect(complaints, 'errors in the browser console').toEqual([]);
    },
    { auto: true },
  ],
});

export const expect = test.expect;

/** Chromium reports each status of 400 and above. A page, and a post that is refused, may have one. */
function isRefusal(message: ConsoleMessage): boolean {
  const { url } = message.location();
  if (!message.text().includes('the server responded with a status of')) return false;
  return url === message.page()?.url() || new URL(url).pathname.startsWith('/do/');
}

export function admins(demo: Demo): Person[] {
  return demo.staff.filter((person) => person.role === 'platform_admin');
}

export function auditor(demo: Demo): Person {
  return demo.staff.find((person) => person.role === 'auditor')!;
}

/** Signs in by the demo's button for that person. */
export async function signInByButton(page: Page, person: Person) {
  await page.goto('/sign-in');
  await page.getByRole('button', { name: person.name }).click();
  await expect(page).toHaveURL('/tickets');
}

/** The same without drawing the two pages, for tests that are about something else. */
export async function signIn(page: Page, person: Person) {
  const answer = await page.request.post('/do/demo_sign_in', {
    form: { email: person.email, next: '/tickets' },
    headers: { Accept: 'text/html', 'Sec-Fetch-Site': 'same-origin', Cookie: 'keyturn-kept=1' },
    maxRedirects: 0,
  });
  expect(answer.status()).toBe(303);
  expect(answer.headers()['location']).toBe('/tickets');
}

/** The message that stands on top of a page once, after something was done or refused. */
export function flash(page: Page) {
  return page.locator('.flash');
}
