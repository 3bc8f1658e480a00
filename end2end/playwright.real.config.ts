import { defineConfig } from '@playwright/test';

// The procedure with nothing of our own on the other side. Not the browser that Playwright drives.
export default defineConfig({
  testDir: 'real',
  outputDir: 'artifacts/real',
  workers: 1,
  timeout: 600_000,
  forbidOnly: !!process.env.CI,
  reporter: 'list',
});
