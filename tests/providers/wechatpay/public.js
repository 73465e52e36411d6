// A program that calls a public client for Node, `wechatpay-axios-plugin`: the same jobs and results as public.py's.
const { Wechatpay } = require("wechatpay-axios-plugin");
const { gunzipSync } = require("zlib");

const realNow = Date.now;

async function resultOf(job) {
  Date.now = () => realNow() + 1000 * (job.ahead_s || 0);
  const { mchid, serial_no: serial, private_key: privateKey, platform_public_key, platform_key_id } = job.credentials;
  const certs = { [platform_key_id]: platform_public_key };
  const timeout = job.timeout_ms ?? 60_000;
  const client = new Wechatpay({ mchid, serial, privateKey, certs, baseURL: `${job.url}/`, timeout });
  let tries = job.tries ?? 0;
  const ask = async (call) => {
    for (;;) {
      try {
        return await call();
      } catch (failed) {
        if (!tries || ![undefined, 429, 503].includes(failed.response?.status)) throw failed;
        tries -= 1;
      }
    }
  };
  const documents = [];
  const errors = [];
  const calls = job.repeat ? Array(50).fill(job.bills[0]) : job.bills;
  for (const [bill_date, account_type] of calls) {
    try {
      const params = { bill_date, account_type, tar_type: job.tar_type ?? "GZIP" };
      const { data } = await ask(() => client.v3.bill.fundflowbill.get({ params }));
      const token = new URL(data.download_url).searchParams.get("token");
      const file = { params: { token }, responseType: "arraybuffer" };
      const bill = await ask(() => client.v3.billdownload.file.get(file));
      const content = Buffer.from(bill.data);
      documents.push((content[0] === 0x1f ? gunzipSync(content) : content).toString("utf8"));
    } catch (refused) {
      const answer = refused.response;
      if (!answer) throw refused;
      errors.push([answer.status, answer.data.code]);
      documents.push(null);
      if (job.repeat) break;
    }
  }
  return { documents, errors, tries };
}

async function main() {
  const results = [];
  for (const job of JSON.parse(require("fs").readFileSync(0, "utf8"))) results.push(await resultOf(job));
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  process.stderr.write(String(error && error.stack));
  process.exit(1);
});
