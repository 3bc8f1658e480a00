// A vault token of somebody who left: the new one works, the old one is refused by the vault.
import { encryptedMessage, openMail } from '../support/customer.ts';
import { verifyLogs } from '../support/demo.ts';
import { decrypt } from '../support/gpg.ts';
import { look } from '../support/looks.ts';
import { handOff, rotate, start } from '../support/procedure.ts';
import { admins, expect, signIn, test } from '../support/test.ts';
import { Watch } from '../support/watch.ts';

const ticket = 'NOV-4803';
const secret = 'vtk_3c8n5w2p';

test('NOV-4803: a vault token is replaced, handed over, and the old one refused', async ({ page, context, demo }) => {
  test.setTimeout(300_000); // every stage is looked at, in both themes and widths
  const main = page.locator('main');
  const watch = new Watch(context, demo.address);
  const old = demo.vault_tokens.find((token) => token.id === secret)!.token;
  const lookUp = (token: string) =>
    fetch(`${demo.address}/v1/auth/token/lookup-self`, { headers: { 'X-Vault-Token': token } });
  const before = await lookUp(old);
  expect(before.status).toBe(200);
  const { data: was } = await before.json();
  expect(was.policies).toEqual(['default', 'claims-import']);

  const customer = await context.newPage();
  await test.step('at the customer, the old token works', async () => {
    await customer.goto(`${demo.customer_side}/tokens`);
    await customer.getByRole('button', { name: new RegExp(`Try the present token .* of ${secret}`) }).click();
    await expect(customer.getByText('accepted (200)')).toBeVisible();
  });

  await test.step('the ticket says whom it is pinned to, and that there is no overlap', async () => {
    await signIn(page, admins(demo)[0]);
    await page.goto(`/tickets/${ticket}`);
    const facts = page.getByRole('region', { name: 'Facts' });
    await expect(facts).toContainText('Dana Kerr');
    await expect(facts).toContainText('default, claims-import');
    await look(page, 'vault-1-start', 'wide');
    await start(page, ticket);
    await expect(main).toContainText('revoked as soon as the new one is recorded');
    await look(page, 'vault-2-rotate');
  });

  await test.step('rotate: from here on the vault refuses the old token', async () => {
    await rotate(page);
    const refused = await lookUp(old);
    expect(refused.status).toBe(403);
    expect(await refused.json()).toEqual({ errors: ['permission denied'] });
    await expect(main).toContainText('is revoked: the vault refuses it');
    await look(page, 'vault-3-hand-off');
    await handOff(page);
    await expect(main).toContainText('does not work any more');
    await expect(main.getByRole('button', { name: 'Send a test event' })).toHaveCount(0);
    await look(page, 'vault-4-complete');
  });

  const token = await test.step('gpg decrypts the mail; the token in it works, with the same policies', async () => {
    const mail = await openMail(context, demo, /NOV-4803\] Your new secret/);
    const owner = demo.owner_pgp.find((key) => key.org === 'harbor-pine')!;
    const message = await encryptedMessage(mail);
    const { text, signedBy } = await decrypt(message, owner.private_key, demo.platform_pgp.public_key);
    expect(signedBy).toBe(demo.platform_pgp.fingerprint);
    const found = /hvs\.[\w-]{90,120}/.exec(text)?.[0];
    expect(found, 'a token in the message').toBeDefined();
    const answer = await lookUp(found!);
    expect(answer.status).toBe(200);
    const { data: is } = await answer.json();
    for (const same of ['policies', 'period', 'display_name', 'orphan', 'type']) expect(is[same]).toEqual(was[same]);
    const renewed = await fetch(`${demo.address}/v1/auth/token/renew-self`, {
      method: 'POST',
      headers: { 'X-Vault-Token': found! },
    });
    expect(renewed.status).toBe(200);

    await mail.getByRole('button', { name: 'Decrypt with the Owner' }).click();
    await mail.getByRole('button', { name: 'Keep as the new vault token' }).click();
    await mail.getByRole('button', { name: /Try the new token/ }).click();
    await expect(mail.getByText('accepted (200)').first()).toBeVisible();
    await mail.getByRole('button', { name: /Try the old token/ }).click();
    await expect(mail.getByText('refused (403)')).toBeVisible();
    await look(mail, 'customer-vault');
    return found!;
  });

  await test.step('the trail is complete, and both logs say that the old token is revoked', async () => {
    await page.goto(`/tickets/${ticket}`);
    await main.getByRole('link', { name: 'See the proof' }).click();
    await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Complete');
    await page.goto(`/audit?ticket=${ticket}`);
    for (const action of ['vault_token.rotated', 'vault_token.old_revoked', 'platform.vault_token_old_revoked']) {
      await expect(page.getByText(action, { exact: true }).first(), action).toBeVisible();
    }
    await look(page, 'vault-audit', 'wide');
    expect(await verifyLogs(demo)).not.toContain('FAULT');
    await page.goto('/orgs/harbor-pine');
    await expect(page.getByRole('region', { name: 'Vault tokens' })).toContainText('Dana Kerr');
    await look(page, 'vault-org');
  });

  await test.step('self-service: an Operator is refused, the Owner gets the value once', async () => {
    const credentials = demo.orgs.find((org) => org.slug === 'harbor-pine')!.credentials;
    const as = (role: string) =>
      fetch(`${demo.address}/api/v1/org/secrets/${secret}/rotate`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${credentials.find((held) => held.role === role)!.token}`,
          'Idempotency-Key': 'once',
        },
      });
    expect((await as('operator')).status).toBe(403);
    expect((await lookUp(token)).status).toBe(200);
    const first = await as('owner');
    expect(first.status).toBe(200);
    const { secret: own } = await first.json();
    expect((await lookUp(own)).status).toBe(200);
    expect((await lookUp(token)).status).toBe(403);
    const again = await (await as('owner')).json();
    expect(again.replayed).toBe(true);
    expect(again.secret).toBeUndefined();
  });

  await test.step('neither token ever reached the console’s pages', async () => {
    for (const value of [old, token]) expect(await watch.holding(value)).toEqual([]);
  });
});
