// Each form of an export, from the timeline with a filter, and the row that says who took it.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { admins, auditor, expect, signIn, test } from '../support/test.ts';

const filter = 'action=platform.signed_in';

async function download(page: Page, format: string): Promise<{ name: string; text: string }> {
  const file = page.waitForEvent('download');
  await page.getByRole('navigation', { name: 'Export' }).getByRole('link', { name: format }).click();
  const taken = await file;
  return { name: taken.suggestedFilename(), text: await readFile(await taken.path(), 'utf8') };
}

test('the filtered timeline leaves as CSV, JSON Lines and OCSF, and the log says so', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await signIn(page, auditor(demo));
  await page.goto(`/audit?${filter}`);

  const csv = await download(page, 'CSV');
  expect(csv.name).toMatch(/^keyturn-audit-\d{8}T\d{6}Z\.csv$/);
  const [head, ...cells] = csv.text.trimEnd().split('\r\n');
  expect(head).toContain('"log","seq","at","action","outcome"');
  expect(cells.length).toBeGreaterThan(1);
  for (const row of cells) expect(row).toContain('"platform.signed_in"');

  const lines = await download(page, 'JSON Lines');
  expect(lines.name).toMatch(/\.jsonl$/);
  const rows = lines.text.trimEnd().split('\n');
  expect(rows.length).toBe(cells.length);
  rows.forEach((row, nth) => {
    expect(JSON.parse(row).action).toBe('platform.signed_in');
    // RFC 6962: the hash of a leaf is that of a zero byte and the leaf.
    const leaf = createHash('sha256').update(Buffer.concat([Buffer.of(0), Buffer.from(row)]));
    expect(cells[nth]).toContain(`"${leaf.digest('hex')}"`);
  });

  const ocsf = await download(page, 'OCSF');
  expect(ocsf.name).toMatch(/\.ocsf\.jsonl$/);
  const events = ocsf.text.trimEnd().split('\n').map((line) => JSON.parse(line));
  expect(events.length).toBe(cells.length);
  for (const event of events) expect(event).toMatchObject({ class_uid: 3002, type_uid: 300201, time: expect.any(Number) });

  // A filter that cannot be meant is no export.
  const refused = await page.request.get('/audit/export?format=csv&from=yesterday');
  expect(refused.status()).toBe(400);
  expect(await refused.text()).toContain('Nothing was exported');

  await page.goto('/audit?action=platform.audit_exported');
  const taken = page.locator('main table details:not(details details)').filter({ hasText: 'platform.audit_exported' });
  await expect(taken).toHaveCount(3);
  await taken.first().locator('summary').first().click();
  for (const text of ['ocsf', filter, 'count', String(cells.length)]) await expect(taken.first()).toContainText(text);
});
