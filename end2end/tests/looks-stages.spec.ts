// A ticket through every stage of the procedure: axe, widths, pictures.
import { look } from '../support/looks.ts';
import { handOff, impersonationOf, rotate, start } from '../support/procedure.ts';
import { admins, signIn, test } from '../support/test.ts';

const ticket = 'NOV-4801';

test('every stage of a ticket: screenshot and axe', async ({ page, demo }) => {
  await signIn(page, admins(demo)[0]);

  await page.goto(`/tickets/${ticket}`);
  await look(page, 'ticket-1-start');
  await start(page, ticket);
  await look(page, 'ticket-2-rotate');
  const impersonation = await impersonationOf(page, ticket);
  await look(page, 'impersonations-live');
  await page.goto(`/impersonations/${impersonation}`);
  await look(page, 'impersonation-live');

  await page.goto(`/tickets/${ticket}`);
  await rotate(page);
  await look(page, 'ticket-3-hand-off');
  await handOff(page);
  await look(page, 'ticket-4-complete');
});
