// Evidence of an impersonation: taken from the page, it is checked on the command line without
// the database, and in the auditor's own browser, against the key that the auditor pinned.
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { verifyEvidence } from '../support/demo.ts';
import { look } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, start } from '../support/procedure.ts';
import { admins, auditor, expect, signIn, test } from '../support/test.ts';

test('evidence verifies offline and in the browser, and not with a byte changed', async ({ page, browser, demo }, info) => {
  const admin = await (await browser.newContext()).newPage();
  await signIn(admin, admins(demo)[1]);
  await start(admin, 'NOV-4801');
  await rotate(admin);
  await handOff(admin);
  const impersonation = await impersonationOf(admin, 'NOV-4801');
  await admin.context().close();

  await signIn(page, auditor(demo));
  await page.goto(`/impersonations/${impersonation}`);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download the evidence' }).click();
  const good = info.outputPath('good.json');
  await (await download).saveAs(good);
  const key = (await readFile(join(demo.data, 'log-key.txt'), 'utf8')).trim();

  const offline = await verifyEvidence(good, key);
  expect(offline.code, offline.text).toBe(0);
  expect(offline.text).toContain('verdict: complete');
  expect(offline.text).not.toContain('FAULT');

  const text = await readFile(good, 'utf8');
  const bad = info.outputPath('bad.json');
  await writeFile(bad, text.replace('"reason\\":\\"rotate', '"reason\\":\\"Rotate'));
  const forged = await verifyEvidence(bad, key);
  expect(forged.code, forged.text).toBe(1);
  expect(forged.text).toContain('FAULT');

  // In the browser: first unpinned, then with the key pinned.
  const panel = page.getByRole('region', { name: 'Evidence', exact: true });
  const found = page.getByRole('region', { name: 'What your browser found' });
  await panel.getByRole('button', { name: 'Check it in this browser' }).click();
  await expect(found).toContainText('Complete');
  await expect(found).toContainText('the file’s own key');
  await panel.getByLabel('The logs’ public key that you pin').fill(key);
  // What was found with other keys is gone.
  await expect(found).toBeHidden();
  await panel.getByRole('button', { name: 'Check it in this browser' }).click();
  await expect(found).toContainText('against the key that you pinned');
  await look(page, 'impersonation-evidence');

  // The same as a document: its digest is that of the file which it brings along.
  await panel.getByRole('link', { name: 'Read or print it' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText(impersonation);
  await expect(page.getByRole('heading', { name: 'The verdict: complete' })).toBeVisible();
  await look(page, 'evidence-document');
  const brought = page.waitForEvent('download');
  await page.getByRole('link', { name: 'The file it is drawn from' }).click();
  const printed = info.outputPath('printed.json');
  await (await brought).saveAs(printed);
  const digest = createHash('sha256').update(await readFile(printed)).digest('hex');
  await expect(page.locator('article')).toContainText(digest);
  expect((await verifyEvidence(printed, key)).code).toBe(0);
  await page.emulateMedia({ media: 'print' });
  await expect(page.getByRole('link', { name: 'The file it is drawn from' })).toBeHidden();
  await expect(page.getByRole('navigation', { name: 'Main' })).toBeHidden();
  await page.emulateMedia({ media: null });

  // A file on the page for files; the pinned key is remembered.
  await page.goto('/verify');
  await expect(page.getByLabel('The logs’ public key that you pin')).toHaveValue(key);
  const field = page.getByLabel('The evidence, chosen or dropped here');
  await field.setInputFiles(good);
  await expect(found).toContainText('Complete');
  await look(page, 'verify-good');
  await field.setInputFiles(bad);
  await expect(found).toContainText('It does not hold');
  await look(page, 'verify-bad');
  const dragged = await page.evaluateHandle((text) => {
    const files = new DataTransfer();
    files.items.add(new File([text], 'dropped.json', { type: 'application/json' }));
    return files;
  }, text);
  await page.getByRole('heading', { name: 'A file' }).waitFor();
  await page.locator('#pinned-hint').dispatchEvent('drop', { dataTransfer: dragged });
  await expect(found).toContainText('Complete');
  await page.getByLabel('The logs’ public key that you pin').fill('keyturn.example+00000000+AAAA');
  await field.setInputFiles(good);
  await expect(page.getByRole('alert')).toContainText('A pinned key cannot be read');
});
