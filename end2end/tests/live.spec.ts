// Live rows through a real proxy, over a restart of the server behind it, and after signing out.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Browser, type Page, expect, test as base } from '@playwright/test';
import { look } from '../support/looks.ts';

const root = resolve(import.meta.dirname, '../..');
const binary = process.env.KEYTURN ?? join(root, 'target/debug/keyturn');

/** A demo that can be stopped and started again, and nginx before it with `proxy_pass` alone. */
class Proxied {
  address = '';
  private server?: ChildProcess;
  private proxy?: ChildProcess;

  private constructor(
    private readonly folder: string,
    private readonly port: number,
    private readonly front: number,
  ) {}

  static async start(): Promise<Proxied> {
    const folder = await mkdtemp(join(tmpdir(), 'keyturn-'));
    const proxied = new Proxied(folder, await freePort(3), await freePort(1));
    await proxied.up();
    await proxied.before();
    return proxied;
  }

  async up() {
    this.server = spawn(binary, ['demo'], {
      cwd: root,
      env: { ...process.env, PORT: String(this.port), DATA: join(this.folder, 'data') },
      stdio: 'ignore',
    });
    await answers(`http://127.0.0.1:${this.port}/healthz`);
  }

  async down() {
    const gone = once(this.server!, 'exit');
    this.server!.kill('SIGTERM');
    await gone;
  }

  private async before() {
    const config = join(this.folder, 'nginx.conf');
    const at = this.folder;
    await writeFile(
      config,
      `daemon off; master_process off; pid ${at}/pid; error_log ${at}/errors;
       events {}
       http { access_log off; client_body_temp_path ${at}/b; proxy_temp_path ${at}/p;
         fastcgi_temp_path ${at}/f; uwsgi_temp_path ${at}/u; scgi_temp_path ${at}/s;
         server { listen 127.0.0.1:${this.front};
           location / { proxy_pass http://127.0.0.1:${this.port}; } } }`,
    );
    this.proxy = spawn('/usr/sbin/nginx', ['-c', config, '-e', join(at, 'early')], { stdio: 'ignore' });
    this.address = `http://127.0.0.1:${this.front}`;
    await answers(`${this.address}/healthz`);
  }

  async end() {
    for (const child of [this.proxy, this.server]) {
      if (!child || child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function answers(url: string) {
  await expect(async () => expect((await fetch(url)).ok).toBe(true)).toPass({ timeout: 60_000 });
}

async function freePort(together: number): Promise<number> {
  for (;;) {
    const port = 47_000 + Math.floor(Math.random() * 12_000);
    const free = await Promise.all([...Array(together).keys()].map((n) => isFree(port + n)));
    if (free.every(Boolean)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)));
  });
}

const test = base.extend<{}, { proxied: Proxied }>({
  proxied: [
    async ({}, use) => {
      const proxied = await Proxied.start();
      await use(proxied);
      await proxied.end();
    },
    { scope: 'worker', timeout: 90_000 },
  ],
  baseURL: async ({ proxied }, use) => use(proxied.address),
});

async function comeIn(page: Page, name: string) {
  await page.goto('/sign-in');
  await page.getByRole('button', { name }).click();
  await expect(page).toHaveURL('/tickets');
}

/** Somebody else, in a browser of their own, who comes in and so leaves a row. */
async function another(browser: Browser, proxied: Proxied, name: string) {
  const context = await browser.newContext({ baseURL: proxied.address });
  await comeIn(await context.newPage(), name);
  await context.close();
}

test('new rows come through the proxy, over a restart, and the page says when none can', async ({
  page,
  browser,
  proxied,
}) => {
  await comeIn(page, 'Ada Okafor');
  await page.goto('/audit');
  await page.evaluate(() => Object.assign(window, { notLoadedAgain: true }));
  const live = page.locator('.live-rows');
  const cameIn = live.locator('li').filter({ hasText: 'platform.signed_in' });
  const state = live.getByText('Not live.');

  await another(browser, proxied, 'Ines Moreau');
  await expect(cameIn).toHaveCount(1, { timeout: 2_000 });

  // The proxy answers 502 meanwhile, which a browser takes for the end of a stream for good.
  await proxied.down();
  await expect(state).toBeVisible({ timeout: 15_000 });
  await look(page, 'not-live');
  await proxied.up();
  await another(browser, proxied, 'Ines Moreau');
  await expect(state).toBeHidden({ timeout: 20_000 });
  await expect(cameIn).toHaveCount(2);
  await another(browser, proxied, 'Ines Moreau');
  await expect(cameIn).toHaveCount(3, { timeout: 2_000 });
  expect(await page.evaluate(() => 'notLoadedAgain' in window)).toBe(true);
  const rows = await live.getByRole('link').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
  expect(new Set(rows).size, 'none twice').toBe(rows.length);
});

test('a page that slept says so, and goes on where it was', async ({ page, browser, proxied }) => {
  await comeIn(page, 'Ada Okafor');
  await page.clock.install();
  await page.goto('/audit');
  const live = page.locator('.live-rows');
  const cameIn = live.locator('li').filter({ hasText: 'platform.signed_in' });
  await another(browser, proxied, 'Ines Moreau');
  await expect(cameIn).toHaveCount(1);
  // Nothing is heard any more, and the clock goes on: the connection is dead without a word.
  await page.context().setOffline(true);
  await page.clock.runFor(20_000);
  await expect(live.getByText('Not live.')).toBeVisible();
  await another(browser, proxied, 'Ines Moreau');
  await page.context().setOffline(false);
  await page.clock.runFor(20_000);
  await expect(async () => {
    await page.clock.runFor(1_000);
    await expect(cameIn).toHaveCount(2, { timeout: 500 });
  }).toPass({ timeout: 20_000 });
  await expect(live.getByText('Not live.')).toBeHidden();
});

test('whoever is signed out elsewhere is told so', async ({ page, context }) => {
  await comeIn(page, 'Ada Okafor');
  const listening = page.waitForResponse((answer) => answer.url().includes('/audit/live'));
  await page.goto('/audit?action=handoff.sent');
  const live = page.locator('.live-rows');
  await listening;
  const other = await context.newPage();
  await other.goto('/tickets');
  await other.getByRole('button', { name: 'Sign out' }).click();
  await expect(other).toHaveURL(/\/sign-in/);
  await expect(live.getByText('you are signed out')).toBeVisible();
  await look(page, 'signed-out');
  await live.getByRole('link', { name: 'Sign in again' }).click();
  await page.getByRole('button', { name: 'Ada Okafor' }).click();
  await expect(page).toHaveURL('/audit?action=handoff.sent');
});

test('a browser that keeps no cookie is told so', async ({ page, context }) => {
  await page.goto('/sign-in');
  await context.clearCookies();
  await page.getByRole('button', { name: 'Ada Okafor' }).click();
  await expect(page.getByRole('alert')).toContainText('Your browser did not keep our cookie');
  await look(page, 'no-cookie');
  // It may do so now.
  await page.getByRole('button', { name: 'Ada Okafor' }).click();
  await expect(page).toHaveURL('/tickets');
});
