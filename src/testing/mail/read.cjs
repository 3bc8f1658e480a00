// Reads a saved mail with a library that mail programs are made of, and prints what they show.
//   node read.cjs LIBRARY FILE
const fs = require('fs');
const path = require('path');
const [, , library, file] = process.argv;
const manifest = path.join(process.env.NODE_PATH, library, 'package.json');
const { version } = JSON.parse(fs.readFileSync(manifest, 'utf8'));
const raw = fs.readFileSync(file);

async function mailparser() {
  const mail = await require('mailparser').simpleParser(raw);
  const files = mail.attachments.map((a) => ({ name: a.filename, content: a.content.toString() }));
  return { subject: mail.subject, from: mail.from.text, text: mail.text, files };
}

async function postalMime() {
  const { default: PostalMime } = require('postal-mime');
  const mail = await PostalMime.parse(raw);
  const files = mail.attachments.map((a) => ({ name: a.filename, content: Buffer.from(a.content).toString() }));
  return { subject: mail.subject, from: mail.from.name, text: mail.text, files };
}

(library === 'mailparser' ? mailparser : postalMime)().then((mail) => console.log(JSON.stringify({ version, ...mail })));
