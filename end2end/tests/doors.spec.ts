// The ways in: the demo's buttons, passwords, the cookie, the step-up page, and other sites' pages.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { admins, auditor, expect, flash, signIn, signInByButton, test } from '../support/test.ts';

test('demo.json is for its owner alone', ({ demo }) => {
  expect(demo.mode.toString(8)).toBe('600');
});

test('every demo person signs in with one button, and out again', async ({ page, demo }) => {
  for (const person of [...admins(demo), auditor(demo)]) {
    await signInByButton(page, person);
    await expect(page.getByRole('region', { name: 'Your session' })).toContainText(person.name);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await expect(page).toHaveURL(/\/sign-in/);
    await page.goto('/tickets/NOV-4801');
    await expect(page).toHaveURL('/sign-in?next=%2Ftickets%2FNOV-4801');
  }
});

test('a password signs in, and leads to where one wanted to go; a wrong one does not', async ({ page, demo }) => {
  const person = admins(demo)[1];
  await page.goto('/orgs');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill('not this one');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(flash(page)).toBeVisible();
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page).toHaveURL('/orgs');
});

// Without TLS it cannot be `Secure`: not every browser would keep it.
test('the session cookie is hidden from scripts and stays with this site', async ({ page, demo }) => {
  await signInByButton(page, admins(demo)[0]);
  const cookies = await page.context().cookies();
  const session = cookies.find(({ name }) => name === 'keyturn');
  expect(session).toMatchObject({ secure: false, httpOnly: true, path: '/', sameSite: 'Lax' });
  expect(await page.evaluate(() => document.cookie)).not.toContain('keyturn=');
});

test('the policy allows no inline script or style', async ({ page }) => {
  const answer = await page.goto('/sign-in');
  const policy = (await answer!.headerValue('content-security-policy')) ?? '';
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("'nonce-");
  expect(policy).not.toContain('unsafe-inline');
});

test('the theme is remembered', async ({ page, demo }) => {
  await page.emulateMedia({ colorScheme: 'light' });
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets');
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByRole('button', { name: 'Dark theme' }).click();
  await page.goto('/orgs');
  await expect(page.getByRole('button', { name: 'Dark theme' })).toHaveAttribute('aria-pressed', 'true');
  expect(await ground()).not.toBe(light);
  await page.getByRole('button', { name: 'System theme' }).click();
  expect(await ground()).toBe(light);
});

test('the key / leads to the look-up field', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  await page.goto('/tickets');
  await expect(async () => {
    await page.keyboard.press('/'); // the island may still be on its way
    await expect(page.getByRole('searchbox', { name: 'Look up' })).toBeFocused({ timeout: 200 });
  }).toPass();
});

test('stepping up takes the password or the demo’s button, and leads back to a page of ours', async ({ page, demo }) => {
  const person = admins(demo)[0];
  await signIn(page, person);
  await page.goto('/step-up?next=/tickets/NOV-4801');
  await page.getByLabel('Password').fill('not this one');
  await page.getByRole('button', { name: 'Confirm', exact: true }).click();
  await expect(page).toHaveURL(/\/step-up/);
  await expect(flash(page)).toBeVisible();
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Confirm', exact: true }).click();
  await expect(page).toHaveURL('/tickets/NOV-4801');
  await expect(flash(page)).toContainText('Confirmed');

  await page.goto('/step-up?next=https://elsewhere.example/');
  await page.getByRole('button', { name: `Confirm as ${person.name}` }).click();
  await expect(page).toHaveURL('/tickets');
});

test('a page of another origin can post nothing, whoever is signed in', async ({ page, demo }) => {
  const ticket = 'NOV-4801';
  await signIn(page, admins(demo)[0]);
  await page.goto('/impersonations');
  const before = await page.locator('main').getByText(ticket).count(); // by the tests before this one
  const elsewhere = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end(`<!DOCTYPE html><title>Elsewhere</title>
      <form method="post" action="${demo.address}/do/impersonate">
        <input name="ticket" value="${ticket}"><button>Win a prize</button>
      </form>`);
  });
  await once(elsewhere.listen(0, '127.0.0.1'), 'listening');
  const { port } = elsewhere.address() as AddressInfo;
  // Another port is the same site to a browser, so the cookie comes along; another host is not.
  for (const host of ['127.0.0.1', 'localhost']) {
    await page.goto(`http://${host}:${port}/`);
    const answer = page.waitForResponse(`${demo.address}/do/impersonate`);
    await page.getByRole('button', { name: 'Win a prize' }).click();
    expect((await answer).status(), host).toBe(403);
  }
  elsewhere.close();
  await page.goto('/impersonations');
  await expect(page.locator('main').getByText(ticket)).toHaveCount(before);
  await expect(page.getByRole('region', { name: 'Live impersonation' })).toHaveCount(0);
});
