// The customer's gateways, as their own agents say they stand.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { BrowserContext, Locator, Page } from '@playwright/test';
import type { Demo } from './demo.ts';
import { expect } from './test.ts';

/** The card of a gateway on the customer's side. */
export async function gatewayCard(context: BrowserContext, demo: Demo, id: string): Promise<Locator> {
  const page = await context.newPage();
  await page.goto(`${demo.customer_side}/gateways`);
  const { label } = demo.gateways.find((gateway) => gateway.id === id)!;
  return page.getByRole('region', { name: label });
}

/** Looks again until the card has this text. */
export async function says(card: Locator, text: RegExp | string) {
  await expect(async () => {
    await card.page().reload();
    await expect(card).toContainText(text, { timeout: 100 });
  }).toPass({ intervals: [250], timeout: 20_000 });
}

/** Looks again until the page has this text. */
export async function shows(page: Page, part: Locator, text: RegExp | string) {
  await expect(async () => {
    await page.reload();
    await expect(part).toContainText(text, { timeout: 500 });
  }).toPass({ intervals: [500], timeout: 20_000 });
}

/** The serial number that a card shows. */
export async function serialOf(card: Locator): Promise<string> {
  const text = await card.innerText();
  const serial = /Serial\s+([0-9A-F]{32})/.exec(text)?.[1];
  expect(serial, 'a serial number').toBeDefined();
  return serial!;
}

export async function beatsOf(card: Locator): Promise<number> {
  return Number(/Beats answered\s+(\d+)/.exec(await card.innerText())?.[1]);
}

/** What `openssl s_client` hears from the gateways' listener with the identity in this file. */
export function knock(demo: Demo, identity: string): Promise<string> {
  const { host } = new URL(demo.gateway_listener);
  const file = join(demo.data, 'gateways', identity);
  const ask = `GET /gateway/v1/crl HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  return new Promise((done) => {
    const args = ['s_client', '-connect', host, '-cert', file, '-key', file, '-ign_eof'];
    const openssl = execFile('openssl', args, (_error, stdout, stderr) => done(stdout + stderr));
    openssl.stdin!.on('error', () => {});
    openssl.stdin!.end(ask);
  });
}
