import { admins, auditor, expect, signIn, test } from '../support/test.ts';

test('demo.json is for its owner alone', ({ demo }) => {
  expect(demo.mode.toString(8)).toBe('600');
});

test('every demo person signs in with one button', async ({ page, demo }) => {
  for (const person of [...admins(demo), auditor(demo)]) {
    await page.context().clearCookies();
    await signIn(page, person);
    await expect(page.getByText(person.name).first()).toBeVisible();
  }
});

test('the session cookie is bound to this host and hidden from scripts', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);
  const cookies = await page.context().cookies();
  const session = cookies.find(({ name }) => name.startsWith('__Host-'));
  expect(session).toMatchObject({ secure: true, httpOnly: true, path: '/' });
});

test('the policy allows no inline script or style', async ({ page }) => {
  const answer = await page.goto('/sign-in');
  const policy = (await answer!.headerValue('content-security-policy')) ?? '';
  expect(policy).toContain('script-src');
  expect(policy).not.toContain('unsafe-inline');
});
