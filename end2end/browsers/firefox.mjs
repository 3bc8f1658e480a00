// Firefox, as Debian ships it, over WebDriver BiDi.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';
import { holds, pictures, withDemo } from './demo.mjs';
import { carry, HOLDS, TRIED } from './procedure.mjs';

const program = process.env.FIREFOX ?? '/usr/bin/firefox-esr';
const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim().replace('Mozilla Firefox ', '');

await withDemo('firefox', async (demo) => {
  const firefox = await puppeteer.launch({ browser: 'firefox', executablePath: program, headless: true });
  try {
    const page = await firefox.newPage();
    await page.setViewport({ width: 1280, height: 720 });
    await carry(
      {
        goto: (address) => page.goto(address),
        address: async () => page.url(),
        run: (work, argument) => page.evaluate(work, argument),
        picture: (name) => page.screenshot({ path: join(pictures, `firefox-${name}.png`) }),
      },
      demo,
    );
  } finally {
    await firefox.close();
  }
});
holds('Firefox ESR', version, TRIED, HOLDS);
console.log(`Firefox ${version}: ${HOLDS}`);
