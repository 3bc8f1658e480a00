// A key that may have leaked: there is no overlap, the old key is refused from the rotation on.
import { installNewKey, openMail } from '../support/customer.ts';
import { handOff, rotate, sendTestEvent, start } from '../support/procedure.ts';
import { admins, expect, signIn, test } from '../support/test.ts';

test('NOV-4802: after a suspected leak nothing is signed with the old key', async ({ page, context, demo }) => {
  const main = page.locator('main');
  await signIn(page, admins(demo)[0]);
  await start(page, 'NOV-4802');
  await expect(main).toContainText('A leak is suspected: the old key stops working at once.');
  await rotate(page);
  await expect(main).toContainText('has stopped working: a leak is suspected');
  await handOff(page);
  await expect(main).toContainText('does not work any more');

  const refused = await sendTestEvent(page);
  expect(refused).toContain('Test event refused (401)');
  expect(refused).toContain('installed key: refused');

  await installNewKey(await openMail(context, demo, /NOV-4802\] Your new secret/));
  const accepted = await sendTestEvent(page);
  expect(accepted).toContain('Test event accepted (200)');
  expect(accepted).toContain('new key: accepted, old key: refused');

  await main.getByRole('link', { name: 'See the proof' }).click();
  await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Complete');
});
