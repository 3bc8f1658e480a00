// The customer's side of the demo: what the Owner received, and what their receiver does.
import type { BrowserContext, Page } from '@playwright/test';
import type { Demo } from './demo.ts';
import { expect } from './test.ts';

/** Opens the newest mail of that subject, once it is there: mails leave within a second or so. */
export async function openMail(context: BrowserContext, demo: Demo, subject: RegExp): Promise<Page> {
  const inbox = await context.newPage();
  const mail = inbox.getByRole('link', { name: subject }).first();
  await expect(async () => {
    await inbox.goto(demo.customer_side);
    await expect(mail).toBeVisible({ timeout: 100 });
  }).toPass({ intervals: [250], timeout: 15_000 });
  await mail.click();
  return inbox;
}

/** The encrypted message in the mail that is open. */
export async function encryptedMessage(mail: Page): Promise<string> {
  const text = await mail.locator('main').innerText();
  const message = /-----BEGIN PGP MESSAGE-----[^]*?-----END PGP MESSAGE-----/.exec(text)?.[0];
  expect(message, 'an encrypted message in the mail').toBeDefined();
  return message!;
}

/** Decrypts the mail that is open, and gives its key to the receiver beside the one it has. */
export async function installNewKey(mail: Page) {
  await mail.getByRole('button', { name: 'Decrypt with the Owner' }).click();
  await expect(mail.getByText('The signature is valid.')).toBeVisible();
  await mail.getByRole('button', { name: 'Install as the new webhook key' }).click();
  await expect(mail).toHaveURL(/\/hooks/);
}
