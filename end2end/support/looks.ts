import { join } from 'node:path';
import type { Page } from '@playwright/test';
import axe from 'axe-core';
import { expect } from './test.ts';

const themes = ['light', 'dark'] as const;
const sizes = {
  wide: { width: 1440, height: 900 },
  narrow: { width: 390, height: 844 },
};
const folder = join(import.meta.dirname, '../artifacts/screenshots');

/** Pictures are for people (`make screenshots`); taking them would be half of the tests' time. */
const pictures = !!process.env.SCREENSHOTS;

/** What axe sees hangs on theme and on size, hardly on both at once: it looks once at each. */
const examined = new Set(['light-wide', 'dark-narrow']);

/**
 * The page as it is now, in both themes, wide and narrow: axe finds nothing, nothing is wider than
 * the window, and a picture is kept where they are asked for.
 */
export async function look(page: Page, name: string, only?: keyof typeof sizes) {
  await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  for (const colorScheme of themes) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const [size, viewport] of Object.entries(sizes)) {
      if (only && only !== size) continue;
      await page.setViewportSize(viewport);
      await settled(page);
      const file = `${name}-${colorScheme}-${size}`;
      if (pictures) {
        await page.screenshot({ path: join(folder, `${file}.png`), fullPage: true, animations: 'disabled' });
      }
      await expectNoSidewaysScroll(page, file);
      if (only || examined.has(`${colorScheme}-${size}`)) await expectAccessible(page, file);
    }
  }
  await page.setViewportSize(sizes.wide);
}

/** Fonts are there, and no colour is still on its way from one theme to the other. */
export async function settled(page: Page) {
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
    for (const change of document.getAnimations()) {
      const end = change.effect?.getComputedTiming().endTime;
      if (typeof end === 'number' && Number.isFinite(end)) change.finish();
    }
  });
}

/** axe, all its rules and WCAG 2.2's size of targets, finds nothing. */
async function expectAccessible(page: Page, file: string) {
  // Run in the page itself: our pages have no frames, for which the usual wrapper opens a window
  // each time and takes five times as long.
  if (await page.evaluate(() => !('axe' in window))) await page.evaluate(axe.source);
  let found = await violations(page);
  // On a busy machine something may still be fading in. What is wrong stays wrong.
  for (let again = 0; found.length > 0 && again < 4; again += 1) {
    await page.waitForTimeout(500);
    found = await violations(page);
  }
  expect.soft(found, file).toEqual([]);
}

function violations(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const { violations } = await (window as unknown as { axe: typeof axe }).axe.run({
      resultTypes: ['violations'],
      rules: { 'target-size': { enabled: true } },
    });
    return violations.map(
      (rule) => `${rule.id}: ${rule.help}\n  ${rule.nodes.map((node) => node.html).join('\n  ')}`,
    );
  });
}

/** Nothing makes the page scroll sideways. */
async function expectNoSidewaysScroll(page: Page, file: string) {
  const [inner, outer] = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return [scrollWidth, clientWidth];
  });
  expect.soft(inner, `${file}: width of the content`).toBeLessThanOrEqual(outer);
}
