// Evidence of an impersonation: taken from the page, it is checked on the command line without
// the database, and in the auditor's own browser, against the key that the auditor pinned.
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { type Demo, verifyEvidence } from '../support/demo.ts';
import { look, settled } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, start } from '../support/procedure.ts';
import { admins, auditor, expect, signIn, test } from '../support/test.ts';

const field = 'The logs’ public key that you were given';

const found = (page: Page) => page.getByRole('region', { name: 'What your browser found' });

const keyOf = async (demo: Demo) => (await readFile(join(demo.data, 'log-key.txt'), 'utf8')).trim();

/** A public key of the logs' name that nobody signs with. */
function strangersKey(name: string): string {
  const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const key = Buffer.concat([Buffer.from([1]), Buffer.from(x!, 'base64url')]);
  const id = createHash('sha256').update(`${name}\n`).update(key).digest('hex').slice(0, 8);
  return `${name}+${id}+${key.toString('base64')}`;
}

/** Pins a key before any page is opened, as an auditor's browser has it from the day before. */
const pin = (page: Page, key: string) =>
  page.addInitScript((key) => localStorage.setItem('keyturn.log-keys', key), key);

/** An impersonation from beginning to end; the same one for every test of this demo. */
let done: string | undefined;
test.beforeEach(async ({ page, browser, demo }) => {
  if (!done) {
    const admin = await (await browser.newContext({ baseURL: demo.address })).newPage();
    await signIn(admin, admins(demo)[1]);
    await start(admin, 'NOV-4801');
    await rotate(admin);
    await handOff(admin);
    done = await impersonationOf(admin, 'NOV-4801');
    await admin.context().close();
  }
  await signIn(page, auditor(demo));
});

test('evidence verifies offline and in the browser, and not with a byte changed', async ({ page, demo }, info) => {
  const impersonation = done!;
  await page.goto(`/impersonations/${impersonation}`);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download the evidence' }).click();
  const good = info.outputPath('good.json');
  await (await download).saveAs(good);
  const key = await keyOf(demo);

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

  // In the browser: the server's key is not taken for the auditor's.
  await expect(found(page)).toContainText('no key is pinned');
  await expect(page.getByLabel(field)).toHaveValue('');
  await look(page, 'impersonation-no-key');
  await page.getByLabel(field).fill('nonsense');
  await page.getByRole('button', { name: 'Pin it and check' }).click();
  await expect(found(page).getByRole('alert')).toContainText('A pinned key cannot be read');
  await page.getByLabel(field).fill(key);
  await expect(found(page)).toContainText('It is the one that this server names.');
  await page.getByRole('button', { name: 'Pin it and check' }).click();
  await expect(found(page).getByRole('heading')).toHaveText('Your browser: complete');
  await expect(found(page)).toContainText(/Checked \d+ rows, \d+ proofs against key \S+ that you pinned. The same as the server says./);
  await look(page, 'impersonation-agrees');
  // From now on by itself.
  await page.reload();
  await expect(found(page).getByRole('heading')).toHaveText('Your browser: complete');
  await found(page).getByText(/\d+ checks, one by one/).click();
  await look(page, 'impersonation-agrees-open');

  // The same as a document: its digest is that of the file which it brings along.
  await page.getByRole('link', { name: 'Read or print it' }).click();
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
  const file = page.getByLabel('The evidence, chosen or dropped here');
  await file.setInputFiles(good);
  await expect(found(page)).toContainText('Complete');
  await look(page, 'verify-good');
  await file.setInputFiles(bad);
  await expect(found(page)).toContainText('It does not hold');
  await look(page, 'verify-bad');
  const dragged = await page.evaluateHandle((text) => {
    const files = new DataTransfer();
    files.items.add(new File([text], 'dropped.json', { type: 'application/json' }));
    return files;
  }, text);
  await page.getByRole('heading', { name: 'A file' }).waitFor();
  await page.locator('#pinned-hint').dispatchEvent('drop', { dataTransfer: dragged });
  await expect(found(page)).toContainText('Complete');
  await page.getByLabel('The logs’ public key that you pin').fill('keyturn.example+00000000+AAAA');
  await file.setInputFiles(good);
  await expect(page.getByRole('alert')).toContainText('A pinned key cannot be read');
});

test('a server that says another verdict than its evidence has is noticed', async ({ page, demo }) => {
  const address = `/impersonations/${done}`;
  await pin(page, await keyOf(demo));
  const heading = found(page).getByRole('heading');

  // The page lies: it says of one rule, and of the whole, what is not so.
  await page.route(`**${address}`, async (route) => {
    const answer = await route.fetch();
    const html = await answer.text();
    const forged = html
      .replace(/(&quot;|")verdict\1:\1complete\1/, '$1verdict$1:$1incomplete$1')
      .replace(/(&quot;|")rotated\1,\1passed\1/, '$1rotated$1,$1failed$1');
    expect(forged).not.toBe(html);
    await route.fulfill({ response: answer, body: forged });
  });
  await page.goto(address);
  await expect(heading).toHaveText('Your browser: complete, and not what the server says');
  await expect(found(page).getByRole('alert')).toContainText('The server says incomplete');
  await expect(found(page)).toContainText('The org log has the rotation: holds here, fails by the server');
  await look(page, 'impersonation-differs');
  await page.unroute(`**${address}`);

  // The evidence lies: a row is left out, or changed.
  const evidence = `**${address}/evidence.json?check`;
  await page.route(evidence, async (route) => {
    const answer = await route.fetch();
    const file = JSON.parse(await answer.text());
    file.org.rows.splice(1, 1);
    await route.fulfill({ response: answer, body: JSON.stringify(file) });
  });
  await page.goto(address);
  await expect(heading).toHaveText(/Your browser: (incomplete|mismatch), and not what the server says/);
  await page.unroute(evidence);
  await page.route(evidence, async (route) => {
    const answer = await route.fetch();
    const text = (await answer.text()).replace('"reason\\":\\"rotate', '"reason\\":\\"Rotate');
    await route.fulfill({ response: answer, body: text });
  });
  await page.goto(address);
  await expect(heading).toHaveText('Your browser: it does not hold');
  await expect(found(page).getByRole('alert')).toContainText('The server does not say so');
  await look(page, 'impersonation-does-not-hold');
  await page.unroute(evidence);

  // It is asked of somebody whose session has ended.
  await page.goto(address);
  await expect(heading).toHaveText('Your browser: complete');
  await page.context().clearCookies();
  await found(page).getByText('The key that you pinned', { exact: true }).click();
  await page.getByRole('button', { name: 'Pin it and check' }).click();
  await expect(heading).toHaveText('Your browser could not check it');
  await look(page, 'impersonation-not-fetched');
  await signIn(page, auditor(demo));
  await found(page).getByRole('button', { name: 'Ask again' }).click();
  await expect(heading).toHaveText('Your browser: complete');
});

test('a pinned key that is not the one of the logs is an alarm', async ({ page, demo }) => {
  const key = await keyOf(demo);
  await pin(page, strangersKey(key.split('+')[0]));
  await page.goto(`/impersonations/${done}`);
  await expect(found(page).getByRole('heading')).toHaveText('Your browser: not the key that you pinned');
  await expect(found(page).getByRole('alert')).toContainText('call security');
  await expect(found(page)).toContainText(key);
  await look(page, 'impersonation-other-key');
  await found(page).getByText('The key that you pinned', { exact: true }).click();
  await page.getByLabel(field).fill(key);
  await page.getByRole('button', { name: 'Pin it and check' }).click();
  await expect(found(page).getByRole('heading')).toHaveText('Your browser: complete');
});

test('without scripts both pages say how to check by file and command', async ({ browser, demo }) => {
  const context = await browser.newContext({ baseURL: demo.address, javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, auditor(demo));
  const key = await keyOf(demo);
  await page.goto(`/impersonations/${done}`);
  await expect(found(page)).toContainText(`keyturn verify keyturn-evidence-${done}.json --key '${key}'`);
  const download = page.waitForEvent('download');
  await found(page).getByRole('link', { name: `keyturn-evidence-${done}.json` }).click();
  expect((await download).suggestedFilename()).toBe(`keyturn-evidence-${done}.json`);
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto('/verify');
  await expect(page.getByText(`keyturn verify evidence.json --key '${key}'`)).toBeVisible();
  await context.close();
});

test('the document prints on white in either theme, and nothing of it is cut off', async ({ page }, info) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, media: null });
    await page.goto(`/impersonations/${done}/evidence`);
    await page.emulateMedia({ colorScheme, media: 'print' });
    // A4 without its margins.
    await page.setViewportSize({ width: 718, height: 1000 });
    await settled(page);
    const [paper, ink, wide] = await page.evaluate(() => {
      const { backgroundColor } = getComputedStyle(document.documentElement);
      const body = getComputedStyle(document.body);
      const over = [...document.querySelectorAll('.doc *')].filter(
        (e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1,
      );
      return [[backgroundColor, body.backgroundColor], body.color, over.map((e) => e.className)] as const;
    });
    expect.soft(wide, `${colorScheme}: wider than the paper`).toEqual([]);
    for (const colour of paper) expect.soft(colour).toMatch(/^(rgb\(255, 255, 255\)|rgba\(0, 0, 0, 0\)|oklch\(1 )/);
    expect.soft(ink, colorScheme).toMatch(/^oklch\(0\.[0-3]/);
    await page.emulateMedia({ colorScheme, media: null });
    await page.pdf({ path: info.outputPath(`evidence-${colorScheme}.pdf`), format: 'A4', printBackground: false });
    await page.pdf({ path: info.outputPath(`evidence-${colorScheme}-letter.pdf`), format: 'Letter', printBackground: true });
  }
});
