// The console as a platform admin uses it, in Firefox.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import puppeteer, { type Page } from 'puppeteer-core';
import { type Stack, call, eventually } from './programs.ts';

const program = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
export const pictures = join(import.meta.dirname, '../../artifacts/real-pictures');

/** A page of a Firefox that trusts any certificate, and the version. */
export async function firefox(stack: Stack): Promise<{ page: Page; version: string }> {
  const version = (await call(program, ['--version'])).trim().replace('Mozilla Firefox ', '');
  const browser = await puppeteer.launch({ browser: 'firefox', executablePath: program, headless: true, acceptInsecureCerts: true });
  stack.later(() => browser.close());
  await mkdir(pictures, { recursive: true });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 720 });
  return { page, version };
}

export async function signIn(page: Page, base: string, email: string, password: string) {
  await page.goto(`${base}/sign-in`);
  await page.type('input[name=email]', email);
  await page.type('input[name=password]', password);
  await press(page, 'Sign in');
  await until(page, 'Tickets');
}

/** A picture of the page as it is, wide and narrow. */
export async function picture(page: Page, name: string) {
  for (const [size, width, height] of [['wide', 1280, 720], ['narrow', 390, 844]] as const) {
    await page.setViewport({ width, height });
    await page.screenshot({ path: join(pictures, `${name}-${size}.png`), fullPage: true });
  }
  await page.setViewport({ width: 1280, height: 720 });
}

/** A ticket from its first button to the handed-off secret. */
export async function handedOff(page: Page, base: string, number: string) {
  await page.goto(`${base}/tickets/${number}`);
  await until(page, '9 of 9 pass');
  await press(page, 'Start impersonation');
  await until(page, 'Impersonation started');
  // What ends with an old vault token has to be confirmed.
  await page.evaluate(() => document.querySelectorAll<HTMLInputElement>('main input[type=checkbox][required]').forEach((box) => box.click()));
  await press(page, 'Rotate now');
  await until(page, 'Rotated: version');
  await page.screenshot({ path: join(pictures, `${number}-rotated.png`) });
  await press(page, 'Hand off and end');
  await until(page, 'Handed off and ended');
  await page.screenshot({ path: join(pictures, `${number}-complete.png`) });
}

export async function press(page: Page, name: string) {
  const found = await eventually(`“${name}” to press`, async () => {
    const handle = await page.evaluateHandle(
      (name) => [...document.querySelectorAll<HTMLElement>('main button, main a')].find((e) => e.innerText.includes(name)) ?? null,
      name,
    );
    return handle.asElement() ?? undefined;
  });
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), (found as unknown as { click: () => Promise<void> }).click()]);
}

export function until(page: Page, text: string) {
  return eventually(`“${text}”`, () =>
    page.evaluate((text) => document.body.innerText.includes(text) || undefined, text).catch(() => undefined),
  );
}
