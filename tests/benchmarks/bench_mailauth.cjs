// Authentications a second of the npm package mailauth, on the mails and DNS answers of task.json.
'use strict';

const fs = require('node:fs');
const { authenticate } = require('mailauth');

const task = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));

async function resolver(name, type) {
    const values = (task.records[name.toLowerCase().replace(/\.$/, '')] || {})[type];
    if (!values) {
        const error = new Error(`${type} ${name}`);
        error.code = 'ENOTFOUND';
        throw error;
    }
    if (type === 'TXT') {
        return values.map(value => [value]);
    }
    if (type === 'MX') {
        return values.map(value => ({ priority: Number(value.split(' ')[0]), exchange: value.split(' ')[1] }));
    }
    return values;
}

async function run(raw) {
    const options = { ip: task.ip, helo: task.helo, sender: task.sender, mta: 'mx.example.com', trustReceived: false, resolver };
    return authenticate(raw, options);
}

(async () => {
    const rates = {};
    for (const [name, encoded] of Object.entries(task.mails)) {
        const raw = Buffer.from(encoded, 'base64');
        const found = await run(raw);
        if (found.dkim.results[0].status.result !== 'pass' || found.spf.status.result !== 'pass' || found.dmarc.status.result !== 'pass') {
            throw new Error(`${name}: not a pass`);
        }
        for (let warm = 0; warm < 20; warm++) {
            await run(raw);
        }
        let count = 0;
        const started = process.hrtime.bigint();
        let elapsed = 0;
        while (elapsed < task.seconds) {
            await run(raw);
            count++;
            elapsed = Number(process.hrtime.bigint() - started) / 1e9;
        }
        rates[name] = count / elapsed;
    }
    process.stdout.write(JSON.stringify(rates));
})().catch(error => {
    console.error(error);
    process.exit(1);
});
