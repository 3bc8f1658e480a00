import { join } from 'node:path';
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect } from './test.ts';

export const themes = ['light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const sizes = {
  wide: { width: 1440, height: 900 },
  narrow: { width: 390, height: 844 },
};
const folder = join(import.meta.dirname, '../artifacts/screenshots');

export async function useTheme(page: Page, theme: Theme) {
  await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
}

/** axe, all its rules and WCAG 2.2's size of targets, finds nothing. */
export async function expectAccessible(page: Page) {
  const { violations } = await new AxeBuilder({ page })
    .options({ rules: { 'target-size': { enabled: true } } })
    .analyze();
  const found = violations.map(
    (rule) => `${rule.id}: ${rule.help}\n  ${rule.nodes.map((node) => node.html).join('\n  ')}`,
  );
  expect(found).toEqual([]);
}

/** The whole page, wide and narrow, as it is now. */
export async function takeScreenshots(page: Page, name: string) {
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    await page.evaluate(() => document.fonts.ready.then(() => {}));
    const path = join(folder, `${name}-${size}.png`);
    await page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }
}

/** Nothing makes the page scroll sideways. */
export async function expectNoSidewaysScroll(page: Page) {
  const [inner, outer] = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return [scrollWidth, clientWidth];
  });
  expect(inner, 'width of the content').toBeLessThanOrEqual(outer);
}
