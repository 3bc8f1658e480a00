// Every audit page as an auditor of a large platform sees it, wide and narrow, light and dark: axe
// finds nothing, nothing is wider than the window, and each is quick.
import { expect, type Page, test } from '@playwright/test';
import { look } from '../support/looks.ts';
import { startYear, type Year } from '../support/year.ts';

let year: Year;

test.beforeAll(async () => {
  test.setTimeout(300_000);
  year = await startYear();
});
test.afterAll(async () => year.stop());

async function signIn(page: Page) {
  await page.goto(`${year.address}/sign-in`);
  await page.getByLabel('Email').fill(year.email);
  await page.getByLabel('Password').fill(year.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
}

const pages: [name: string, address: string][] = [
  ['overview', '/overview'],
  ['overview-year', '/overview?days=365'],
  ['timeline', '/audit'],
  ['timeline-unfolded', '/audit?verdict=complete&fold=0'],
  ['timeline-mismatch', '/audit?verdict=mismatch'],
  ['timeline-incomplete', '/audit?verdict=incomplete'],
  ['timeline-words', '/audit?text=stuck+vault+sent'],
  ['timeline-nothing', '/audit?text=nosuchword'],
  ['timeline-wrong', '/audit?from=yesterday'],
  ['impersonations', '/impersonations'],
  ['impersonations-mismatch', '/impersonations?verdict=mismatch'],
  ['integrity', '/audit/integrity'],
  ['verify', '/verify'],
  ['orgs', '/orgs'],
];

for (const [name, address] of pages) {
  test(`${name}: screenshot and axe`, async ({ page }) => {
    await signIn(page);
    await page.goto(year.address + address);
    await look(page, `size-${name}`);
  });
}

for (const verdict of ['complete', 'mismatch', 'incomplete']) {
  test(`an impersonation that is ${verdict}, its evidence and a row of it: screenshot and axe`, async ({ page }) => {
    await signIn(page);
    await page.goto(`${year.address}/impersonations?verdict=${verdict}`);
    await page.locator('tbody tr').first().locator('a[href^="/impersonations/"]').first().click();
    await look(page, `size-impersonation-${verdict}`);
    const here = page.url();
    await page.goto(`${here}/evidence`);
    await look(page, `size-evidence-${verdict}`);
    await page.goto(`${year.address}/audit?impersonation=${here.split('/').pop()}`);
    // A row shows its link when it is opened.
    const row = await page.locator('a[href^="/audit/rows/"]').first().getAttribute('href');
    await page.goto(year.address + row);
    await look(page, `size-row-${verdict}`);
  });
}

test('a time before all rows, and verifying all of them', async ({ page }) => {
  test.setTimeout(600_000);
  await signIn(page);
  await page.goto(`${year.address}/audit?to=2000-01-01T00:00:00Z`);
  await look(page, 'size-timeline-before-all');
  await page.goto(`${year.address}/audit/integrity`);
  await page.getByRole('button', { name: 'Verify now' }).click();
  await look(page, 'size-integrity-running', 'wide');
  await expect(async () => {
    await page.goto(`${year.address}/audit/integrity`);
    await expect(page.getByRole('main')).toContainText(/All [\d,]+ rows hold/, { timeout: 500 });
  }).toPass({ timeout: 120_000 });
  await look(page, 'size-integrity-verified');
});
