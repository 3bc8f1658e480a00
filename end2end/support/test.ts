// The `test` of every spec: a demo for each worker, and a page that must not complain.
import { test as base, type Page } from '@playwright/test';
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
    async ({ page }, use) => {
      const complaints: string[] = [];
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('console', (message) => {
        const ownStatus = message.location().url === page.url(); // a page that is a 403 or 404
        if (message.type() === 'error' && !ownStatus) complaints.push(message.text());
      });
      await use(complaints);
      expect(complaints, 'errors in the browser console').toEqual([]);
    },
    { auto: true },
  ],
});

export const expect = test.expect;

export function admins(demo: Demo): Person[] {
  return demo.staff.filter((person) => person.role === 'platform_admin');
}

export function auditor(demo: Demo): Person {
  return demo.staff.find((person) => person.role === 'auditor')!;
}

/** Signs in by the demo's button for that person. */
export async function signIn(page: Page, person: Person) {
  await page.goto('/sign-in');
  await page.getByRole('button', { name: person.name }).click();
  await expect(page).not.toHaveURL(/\/sign-in/);
}
