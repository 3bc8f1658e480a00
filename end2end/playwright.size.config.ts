// Pictures of every audit page over a year of `keyturn bench-data`: `make screenshots-at-size`.
import { defineConfig } from '@playwright/test';
import everyday from './playwright.config.ts';

export default defineConfig({
  ...everyday,
  testDir: 'size',
  workers: 1,
  timeout: 600_000,
  projects: [{ name: 'size' }],
});
