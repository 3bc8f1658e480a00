// The timeline as somebody reads it: searched, narrowed by the strip, saved, folded, paged.
import type { Page } from '@playwright/test';
import { look } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, start } from '../support/procedure.ts';
import { admins, auditor, expect, flash, signIn, test } from '../support/test.ts';

const ticket = 'NOV-4801';

/** The rows of the page, from the top, those of the platform's log and of the orgs'. */
const rowsOf = (page: Page) => page.locator('main table .ev').evaluateAll((all) => all.map((row) => row.id));

async function search(page: Page, words: string) {
  const form = page.getByRole('form', { name: 'Filter the logs' });
  await form.getByLabel('Search').fill(words);
  await form.getByRole('button', { name: 'Apply' }).click();
}

test('the timeline is searched, narrowed, saved, folded and paged', async ({ page, demo, browser }) => {
  await signIn(page, admins(demo)[0]);
  await start(page, ticket);
  await rotate(page);
  await handOff(page);
  const impersonation = await impersonationOf(page, ticket);
  await signIn(page, auditor(demo));

  await page.goto('/audit');
  const group = page.locator('tbody.tl-group').filter({ hasText: ticket });
  const started = group.locator('.ev .action').filter({ hasText: /^impersonation\.started$/ });
  const fold = group.locator('.tl-fold > summary');

  await test.step('an impersonation that is complete is folded', async () => {
    await expect(group).toContainText('Complete');
    await expect(started).toBeHidden();
    await look(page, 'timeline-folded');
    await fold.focus();
    await page.keyboard.press('Enter');
    await expect(started).toBeVisible();
    await fold.click();
    await expect(started).toBeHidden();
    const folds = page.getByRole('navigation', { name: 'Fold impersonations' });
    await folds.getByRole('link', { name: 'Unfold all' }).click();
    await expect(started).toBeVisible();
    await folds.getByRole('link', { name: 'Fold all', exact: true }).click();
    await expect(started).toBeHidden();
  });

  await test.step('words and an id find it', async () => {
    await page.goto('/audit');
    await search(page, 'stuck rotate 4801');
    await expect(started).toBeVisible();
    await expect(page.locator('main')).not.toContainText('platform.signed_in');
    await search(page, impersonation);
    await expect(started).toBeVisible();
    await search(page, 'no such words');
    await expect(page.getByRole('heading', { name: 'No rows here' })).toBeVisible();
  });

  await test.step('a view is saved, used and removed', async () => {
    await search(page, 'stuck');
    await page.getByText('Save this view').click();
    await page.getByLabel('Name').fill('Stuck secrets');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await expect(flash(page)).toContainText('Saved');
    const views = page.getByRole('navigation', { name: 'Saved views' });
    const view = views.getByRole('link', { name: 'Stuck secrets' });
    await expect(view).toHaveAttribute('aria-current', 'page');
    await look(page, 'timeline-saved');
    await page.goto('/audit');
    await view.click();
    await expect(page).toHaveURL('/audit?text=stuck');
    await views.getByRole('button', { name: 'Remove this view' }).click();
    await expect(flash(page)).toContainText('Removed');
    await expect(views).toHaveCount(0);
  });

  await test.step('a secret and too many words are refused', async () => {
    const secret = demo.webhooks[0].key;
    await search(page, secret);
    await expect(page.getByText('This is a secret, or has the shape of one')).toBeVisible();
    await expect(page.getByRole('heading', { name: 'Platform log' })).toHaveCount(0);
    // Encoded or not: its letters from the first to where an encoding could change one.
    const core = /[A-Za-z0-9]{8,}/.exec(secret.replace(/^whsec_/, ''))![0];
    expect(await page.content()).not.toContain(core);
    await search(page, 'one two three four five six seven eight nine');
    await expect(page.getByText('at most eight words')).toBeVisible();
    await page.goto('/audit?action=platform.audit_viewed');
    expect(await page.content()).not.toContain(core);
  });

  await test.step('newer and older lead to the same rows', async () => {
    await page.goto('/audit?fold=0');
    const newest = await rowsOf(page);
    const pager = page.getByRole('navigation', { name: 'Pages' });
    await pager.getByRole('link', { name: 'Older' }).click();
    await expect(page).toHaveURL(/before=.*fold=0/);
    const older = await rowsOf(page);
    expect(older.length).toBeGreaterThan(0);
    expect(older.filter((row) => newest.includes(row))).toEqual([]);
    await pager.getByRole('link', { name: 'Newer' }).click();
    await expect(page).toHaveURL(/after=.*fold=0/);
    // What was written since stands on top.
    expect((await rowsOf(page)).slice(-5)).toEqual(newest.slice(-5));
    await pager.getByRole('link', { name: 'Older' }).click();
    await expect(page).toHaveURL(/before=/);
    expect(await rowsOf(page)).toEqual(older);
  });

  await test.step('the strip narrows the time, with scripts off too', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false, baseURL: demo.address });
    const still = await plain.newPage();
    await signIn(still, auditor(demo));
    await still.goto(`/audit?ticket=${ticket}`);
    const strip = still.getByRole('region', { name: 'How many rows there are when' });
    const again = still.getByRole('link', { name: 'Load the page again to see it' });
    await expect(async () => {
      // Where it was not counted in time, the page says so and leads to itself.
      if ((await again.count()) > 0) await again.click();
      await expect(strip.locator('.chart-hits a').last()).toBeVisible({ timeout: 500 });
    }).toPass();
    await strip.locator('.chart-hits a').last().click();
    await expect(still).toHaveURL(/ticket=NOV-4801&from=.*&to=/);
    const summary = still.locator('tbody.tl-group .tl-fold > summary').first();
    const row = still.locator('tbody.tl-group .ev').first();
    await expect(row).toBeVisible();
    await summary.click();
    await expect(row).toBeHidden();
    await plain.close();
  });
});

test('a row comes in while somebody watches, and leads to itself', async ({ page, demo, browser }) => {
  await signIn(page, auditor(demo));
  await page.goto('/audit?action=platform.signed_in');
  const live = page.locator('.live-rows');
  await expect(live).toHaveCount(1);
  const elsewhere = await browser.newContext({ baseURL: demo.address });
  const other = await elsewhere.newPage();
  const admin = admins(demo)[1];
  // Whoever signs in is there once, and who only looks is not.
  await signIn(other, admin);
  await other.goto('/audit');
  await elsewhere.close();
  const row = live.getByRole('listitem');
  await expect(row).toHaveCount(1);
  await expect(row).toContainText('platform.signed_in');
  await expect(row).toContainText(admin.name);
  await row.getByRole('link').click();
  await expect(page).toHaveURL(/\/audit\/rows\//);
  const id = new URL(page.url()).pathname.split('/').at(-1)!;
  await page.getByRole('link', { name: 'In the timeline' }).click();
  await expect(page).toHaveURL(new RegExp(`#r-${id}$`));
  await expect(page.locator(`[id="r-${id}"]:target`)).toBeInViewport();
  await look(page, 'timeline-linked');
});

test('the palette leads anywhere by keyboard', async ({ page, demo, browser }) => {
  await signIn(page, auditor(demo));
  await page.goto('/tickets');
  const palette = page.getByRole('dialog', { name: 'Go to' });
  const field = palette.getByRole('combobox');
  const chosen = palette.getByRole('option', { selected: true });
  const opener = page.getByRole('button', { name: 'Go to' });
  await expect(opener).toBeVisible();
  await expect(palette).toBeHidden();

  await test.step('it opens, keeps the focus and gives it back', async () => {
    await opener.focus();
    await page.keyboard.press('Control+k');
    await expect(field).toBeFocused();
    await expect(palette.getByRole('option')).toHaveCount(6);
    await expect(chosen).toHaveText('Tickets');
    await look(page, 'palette');
    await page.keyboard.press('Tab');
    await expect(palette.getByRole('button', { name: 'Close' })).toBeFocused();
    await page.keyboard.press('Tab');
    await expect(field).toBeFocused();
    await page.keyboard.press('Escape');
    await expect(palette).toBeHidden();
    await expect(opener).toBeFocused();
    await opener.click();
    await expect(field).toBeFocused();
    await page.keyboard.press('Control+k');
    await expect(palette).toBeHidden();
  });

  await test.step('arrows choose, and Enter goes there', async () => {
    await page.keyboard.press('Control+k');
    await page.keyboard.press('ArrowUp');
    await expect(chosen).toHaveText('Integrity');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await expect(chosen).toHaveText('Impersonations');
    const id = await chosen.getAttribute('id');
    await expect(field).toHaveAttribute('aria-activedescendant', id!);
    await field.fill('integ');
    await expect(chosen).toHaveText('Integrity');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL('/audit/integrity');
    const rail = page.getByRole('navigation', { name: 'Main' });
    await expect(rail.getByRole('link', { name: 'Integrity' })).toHaveAttribute('aria-current', 'page');
  });

  await test.step('what is no part of the console is looked up', async () => {
    // It is there once the page is live.
    await expect(opener).toBeVisible();
    await page.keyboard.press('Control+k');
    await field.fill('4802');
    await expect(palette.getByRole('option')).toHaveCount(1);
    await look(page, 'palette-lookup');
    await page.keyboard.press('Enter');
    await expect(page).toHaveURL('/tickets/NOV-4802');
    await expect(opener).toBeVisible();
    await page.keyboard.press('Control+k');
    await field.fill('organ');
    await palette.getByRole('option', { name: 'Organizations' }).click();
    await expect(page).toHaveURL('/orgs');
  });

  await test.step('without scripts there is no button for it', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false, baseURL: demo.address });
    const still = await plain.newPage();
    await signIn(still, auditor(demo));
    await still.goto('/tickets');
    await expect(still.getByRole('button', { name: 'Go to' })).toHaveCount(0);
    await expect(still.getByRole('link', { name: 'Integrity' }).first()).toBeVisible();
    await plain.close();
  });
});

test('a log is found on the page of their integrity', async ({ page, demo }) => {
  await signIn(page, auditor(demo));
  await page.goto('/audit/integrity');
  await page.getByRole('button', { name: 'Verify now' }).click();
  await expect(async () => {
    await page.goto('/audit/integrity');
    await expect(page.getByText(/^All [\d,]+ rows hold$/)).toBeVisible({ timeout: 200 });
  }).toPass({ timeout: 20_000 });
  const logs = page.getByRole('region', { name: 'Logs' });
  await expect(logs.getByRole('row').filter({ hasText: 'Platform log' })).toContainText(/(ago|just now)\s*Verify$/);
  await logs.getByLabel('Org').fill(demo.orgs[0].name.slice(1, 6).toUpperCase());
  await logs.getByRole('button', { name: 'Find' }).click();
  await expect(logs.locator('tbody tr')).toHaveCount(1);
  await expect(logs).toContainText(demo.orgs[0].name);
  await look(page, 'integrity-found');
});
