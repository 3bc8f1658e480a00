// The whole of NOV-4801, from look-up to a proven trail. Run twice: scripts off, and islands on.
import { readFile } from 'node:fs/promises';
import type { Page } from '@playwright/test';
import { Webhook } from 'standardwebhooks';
import { encryptedMessage, installNewKey, openMail } from '../support/customer.ts';
import { verifyLogs } from '../support/demo.ts';
import { decrypt } from '../support/gpg.ts';
import { handOff, rotate, sendTestEvent } from '../support/procedure.ts';
import { admins, expect, flash, signInByButton, test } from '../support/test.ts';
import { Watch } from '../support/watch.ts';

const ticket = 'NOV-4801';
const org = 'brightwater';
const checks = [
  'Ticket open',
  'Requester authenticated',
  'Requester is Owner',
  'Owner reachable',
  'Self-service unavailable',
  'Consent',
  'Secret known',
  'Handoff possible',
  'Nothing else open',
];
const everywhere = ['/tickets', '/impersonations', '/audit', '/orgs', `/orgs/${org}`, `/tickets/${ticket}`];

test('a stuck webhook signing key is replaced, handed over and proven', async ({
  page,
  context,
  browser,
  demo,
  javaScriptEnabled: scripts,
}) => {
  const watch = new Watch(context, demo.address);
  const main = page.locator('main');
  const bar = page.getByRole('region', { name: 'Live impersonation' });

  await test.step('the ticket is found by its number', async () => {
    await signInByButton(page, admins(demo)[0]);
    await page.getByLabel('Ticket number').fill(ticket);
    await page.getByRole('button', { name: 'Open ticket' }).click();
    await expect(page).toHaveURL(`/tickets/${ticket}`);

    await page.goto('/orgs');
    await page.getByRole('searchbox').fill('4801');
    await page.getByRole('searchbox').press('Enter');
    await expect(page).toHaveURL(`/tickets/${ticket}`);
  });

  await test.step('it passes all nine checks', async () => {
    const eligibility = page.getByRole('region', { name: 'Eligibility' });
    await expect(eligibility).toContainText('9 of 9 pass');
    for (const check of checks) await expect(eligibility).toContainText(`Passed: ${check}`);
    await expect(eligibility).not.toContainText('Failed: ');
    if (scripts) await copies(page);
  });

  const timeline = await context.newPage();
  await timeline.goto(`/audit?ticket=${ticket}`);
  await expect(timeline.getByText('No rows here')).toBeVisible();

  await test.step('start: the terms are on the page, and it says so everywhere', async () => {
    await expect(main).toContainText(`rotate stuck webhook_signing_key per ticket ${ticket}`);
    await expect(main).toContainText('15 min at most');
    await main.getByRole('button', { name: 'Start impersonation' }).click();
    await expect(flash(page)).toContainText('Impersonation started');
    for (const path of everywhere) {
      await page.goto(path);
      await expect(bar, path).toContainText(ticket);
      await expect(bar.getByRole('button', { name: 'End now' }), path).toBeVisible();
      await expect(page, path).toHaveTitle(/LIVE/);
      await expect(page.locator('link[rel=icon]'), path).toHaveAttribute('href', '/favicon-live.svg');
    }
  });

  if (scripts) {
    await test.step('islands: the time ticks, new rows arrive by themselves', async () => {
      const clock = bar.getByRole('timer');
      const before = await clock.innerText();
      await expect(clock).not.toHaveText(before, { timeout: 4_000 });
      await expect(timeline.getByText('platform.impersonation_started')).toBeVisible();
      await expect(timeline.getByText('impersonation.started', { exact: true })).toBeVisible();
    });
  }

  await test.step('rotate, hand off and end', async () => {
    await expect(main).toContainText('Cannot be undone');
    await rotate(page);
    await expect(bar).toBeVisible();
    await handOff(page);
    await expect(bar).toHaveCount(0);
    await expect(page).not.toHaveTitle(/LIVE/);
    await expect(page.locator('link[rel=icon]')).toHaveAttribute('href', '/favicon.svg');
    await expect(main.getByRole('heading', { name: 'Complete' })).toBeVisible();
  });

  const mail = await openMail(context, demo, /NOV-4801\] Your new secret/);
  const secret = await test.step('gpg decrypts the mail, signed by the platform', async () => {
    const owner = demo.owner_pgp.find((key) => key.org === org)!;
    const message = await encryptedMessage(mail);
    const { text, signedBy } = await decrypt(message, owner.private_key, demo.platform_pgp.public_key);
    expect(signedBy).toBe(demo.platform_pgp.fingerprint);
    const key = /whsec_[A-Za-z0-9+/]+=*/.exec(text)?.[0];
    expect(key, 'a signing key in the message').toBeDefined();
    expect(Buffer.from(key!.slice('whsec_'.length), 'base64')).toHaveLength(32);
    expect(demo.webhooks.map((webhook) => webhook.key)).not.toContain(key);
    return key!;
  });

  await test.step('a test event: the old key is still good, and with the new one both are', async () => {
    expect(await sendTestEvent(page)).toContain('installed key: accepted');
    await installNewKey(mail);
    expect(await sendTestEvent(page)).toContain('new key: accepted, old key: accepted');
  });

  await test.step('the key is a Standard Webhooks key for other implementations, too', async () => {
    const id = 'msg_from_outside';
    const now = new Date();
    const body = '{"type":"outside"}';
    const hook = demo.webhooks.find((webhook) => webhook.org === org)!.id;
    const target = `${demo.customer_side}/hooks/${hook}`;
    const answer = await fetch(target, {
      method: 'POST',
      body,
      headers: {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': new Webhook(secret).sign(id, now, body),
      },
    });
    expect(await answer.text()).toBe('new key: accepted, old key: refused');
  });

  await test.step('the Owner acknowledges by the link, once', async () => {
    const again = await openMail(context, demo, /NOV-4801\] Your new secret/);
    const link = await again.getByRole('link', { name: /\/acknowledge\// }).getAttribute('href');
    const owner = await (await browser.newContext()).newPage(); // nobody of the platform
    await owner.goto(link!);
    await owner.getByRole('button', { name: 'Yes, I have it' }).click();
    await expect(owner.getByRole('heading', { name: 'Thank you' })).toBeVisible();
    await owner.goto(link!);
    await expect(owner.getByRole('button')).toHaveCount(0);
    await owner.context().close();
  });

  await test.step('the impersonation is complete by every rule', async () => {
    await page.goto(`/tickets/${ticket}`);
    await expect(main).toContainText('acknowledged');
    await main.getByRole('link', { name: 'See the proof' }).click();
    await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Complete');
    const rules = page.getByRole('region', { name: 'Rules' });
    const all = await rules.getByRole('listitem').count();
    expect(all).toBeGreaterThan(5);
    await expect(rules).toContainText(`${all} of ${all} hold`);
    await expect(rules).not.toContainText(/Fails: |Cannot be said: /);
  });

  await test.step('the timeline has both logs, and both verify', async () => {
    await page.goto(`/audit?ticket=${ticket}`);
    for (const action of [
      'platform.impersonation_started',
      'impersonation.started',
      'webhook_signing_key.rotated',
      'platform.secret_handed_off',
      'handoff.queued',
      'platform.impersonation_ended',
      'impersonation.ended',
      'platform.test_event_sent',
      'platform.handoff_acknowledged',
      'handoff.acknowledged',
    ]) {
      await expect(page.getByText(action, { exact: true }).first(), action).toBeVisible();
    }
    await expect(page.locator('table.tl')).toContainText('Complete');
    expect(await verifyLogs(demo)).not.toContain('FAULT');
  });

  await test.step('neither the key nor a token ever reached the console’s pages or log', async () => {
    expect(await watch.pages()).toBeGreaterThan(15);
    expect(await watch.holding(secret.slice('whsec_'.length))).toEqual([]);
    expect(await watch.holding(encodeURIComponent(secret.slice('whsec_'.length)))).toEqual([]);
    expect(await watch.holding(/eyJ[\w-]+\.eyJ/), 'tokens').toEqual([]);
    const log = await readFile(demo.log, 'utf8');
    expect(log.includes(secret.slice('whsec_'.length)), 'the key in the server’s log').toBe(false);
  });
});

/** A copy button appears where scripts are on, and copies. */
async function copies(page: Page) {
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const button = page.getByRole('button', { name: 'Copy secret id' });
  await expect(button).toBeVisible();
  await button.click();
  await expect(page.getByText('Copied', { exact: true })).toBeAttached();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^whk_[a-z0-9]{16}$/);
}
