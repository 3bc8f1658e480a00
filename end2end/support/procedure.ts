// The steps of the procedure, each by its one button and proven by what the page says after it.
import type { Page } from '@playwright/test';
import { expect, flash } from './test.ts';

const press = (page: Page, name: string) => page.locator('main').getByRole('button', { name }).click();

export async function start(page: Page, ticket: string) {
  await page.goto(`/tickets/${ticket}`);
  await press(page, 'Start impersonation');
  await expect(flash(page)).toContainText('Impersonation started');
}

export async function rotate(page: Page) {
  const dependents = page.locator('main').getByRole('checkbox', { name: /depends on the old token/ });
  if (await dependents.count()) await dependents.check();
  await press(page, 'Rotate now');
  await expect(flash(page)).toContainText(/Rotated: version \d+ exists/);
}

export async function handOff(page: Page) {
  await press(page, 'Hand off and end');
  await expect(flash(page)).toContainText('Handed off and ended');
}

/** Sends a test event from the ticket, and gives what the page says of it. */
export async function sendTestEvent(page: Page): Promise<string> {
  await press(page, 'Send a test event');
  const said = flash(page);
  await expect(said).toContainText('Test event');
  return said.innerText();
}

/** The id of the ticket's newest impersonation, from the page of the ticket. */
export async function impersonationOf(page: Page, ticket: string): Promise<string> {
  await page.goto(`/impersonations`);
  const row = page.getByRole('row').filter({ hasText: ticket }).first();
  const href = await row.getByRole('link').first().getAttribute('href');
  return href!.split('/').pop()!;
}
