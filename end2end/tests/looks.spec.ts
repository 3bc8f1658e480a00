// Every page in both themes: nothing for axe to find, nothing wider than the window, a picture kept.
import type { Page } from '@playwright/test';
import {
  expectAccessible,
  expectNoSidewaysScroll,
  takeScreenshots,
  themes,
  useTheme,
} from '../support/looks.ts';
import { admins, expect, signIn, test } from '../support/test.ts';

const pages = {
  tickets: '/tickets',
  'ticket-eligible': '/tickets/NOV-4801',
  'ticket-refused': '/tickets/NOV-4806',
  'ticket-closed': '/tickets/NOV-4815',
  impersonations: '/impersonations',
  audit: '/audit',
  'audit-filtered': '/audit?ticket=NOV-4801',
  orgs: '/orgs',
  'not-found': '/nowhere',
};

for (const theme of themes) {
  test.describe(theme, () => {
    test.beforeEach(({ page }) => useTheme(page, theme));

    test('sign-in: screenshot and axe', async ({ page }) => {
      await page.goto('/sign-in');
      await look(page, `sign-in-${theme}`);
    });

    for (const [name, path] of Object.entries(pages)) {
      test(`${name}: screenshot and axe`, async ({ page, demo }) => {
        await signIn(page, admins(demo)[0]);
        await page.goto(path);
        await look(page, `${name}-${theme}`);
      });
    }

    test('org: screenshot and axe', async ({ page, demo }) => {
      await signIn(page, admins(demo)[0]);
      await page.goto(`/orgs/${demo.orgs[0].slug}`);
      await look(page, `org-${theme}`);
    });
  });
}

async function look(page: Page, name: string) {
  await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  await expectAccessible(page);
  await takeScreenshots(page, name); // ends narrow
  await expectNoSidewaysScroll(page);
  await expectAccessible(page);
}
