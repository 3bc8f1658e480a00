// NOV-4801 from the sign-in to the proof, in whatever browser is at hand. `browser` is as little of
// one as that takes: `goto`, `address`, `run` (a function in the page), `picture`.
import assert from 'node:assert/strict';
import { until } from './demo.mjs';

const TICKET = 'NOV-4801';

export async function carry(browser, demo) {
  const shows = (text, milliseconds = 20_000) =>
    until(`“${text}” on ${TICKET}’s way`, milliseconds, () =>
      browser.run((text) => document.body.innerText.includes(text), text),
    );
  const press = async (name) => {
    const pressed = await until(`a button “${name}”`, 10_000, () =>
      browser.run((name) => {
        const all = [...document.querySelectorAll('main button, main a')];
        const found = all.find((e) => e.innerText.includes(name));
        if (found) setTimeout(() => found.click(), 0);
        return Boolean(found);
      }, name),
    );
    assert(pressed);
  };
  const at = (path) =>
    until(`the address ${path}`, 20_000, async () => new URL(await browser.address()).pathname === path);

  const admin = demo.staff.find((person) => person.role === 'platform_admin');
  const auditor = demo.staff.find((person) => person.role === 'auditor');
  await browser.goto(`${demo.address}/sign-in`);
  await press(admin.name);
  await at('/tickets');

  await browser.goto(`${demo.address}/tickets/${TICKET}`);
  await shows('9 of 9 pass');
  await press('Start impersonation');
  await shows('Impersonation started');
  await browser.picture('live');
  const clock = () => browser.run(() => document.querySelector('[role=timer]')?.innerText);
  const before = await clock();
  assert(before, 'the time that is left');
  await until('the time goes on', 5_000, async () => (await clock()) !== before);
  await press('Rotate now');
  await shows('Rotated: version');
  await press('Hand off and end');
  await shows('Handed off and ended');

  await press('See the proof');
  await until('the proof', 20_000, async () => (await browser.address()).includes('/impersonations/'));
  await shows('no key is pinned');
  await browser.run((key) => {
    const field = document.querySelector('#pinned-key');
    field.value = key;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  }, demo.key);
  await shows('It is the one that this server names');
  await press('Pin it and check');
  await shows('Your browser: complete', 60_000);
  await shows('The same as the server says');
  await browser.picture('proof');

  await browser.goto(`${demo.address}/audit?ticket=${TICKET}`);
  for (const action of ['platform.impersonation_started', 'webhook_signing_key.rotated', 'impersonation.ended']) {
    const there = (action) => [...document.querySelectorAll('.action')].some((e) => e.textContent === action);
    assert(await browser.run(there, action), action);
  }
  await browser.picture('timeline');

  // Somebody else comes in, and is seen without the page being loaded again.
  await browser.goto(`${demo.address}/audit`);
  await browser.run(() => void (window.notLoadedAgain = true));
  const answer = await fetch(`${demo.address}/do/demo_sign_in`, {
    method: 'POST',
    redirect: 'manual',
    headers: {
      accept: 'text/html',
      'sec-fetch-site': 'same-origin',
      'content-type': 'application/x-www-form-urlencoded',
      cookie: 'keyturn-kept=1',
    },
    body: new URLSearchParams({ email: auditor.email, next: '/tickets' }),
  });
  assert.equal(answer.status, 303);
  await until('a new row by itself', 10_000, () =>
    browser.run(
      (name) =>
        window.notLoadedAgain &&
        [...document.querySelectorAll('.live-rows li')].some(
          (row) => row.innerText.includes('platform.signed_in') && row.innerText.includes(name),
        ),
      auditor.name,
    ),
  );
  await browser.picture('new-row');
}

export const TRIED = 'sign in, start, rotate, hand off NOV-4801; its proof, checked in the browser; the timeline';
export const HOLDS = 'all of it, over http://127.0.0.1, with a new row that came in by itself';
