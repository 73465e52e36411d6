// A program that calls the public client `okx-api`: a job as JSON on standard input, its results on standard output.
// The job is that of public.py; with `tries` a call that fails is made again, so many times at most, because the client
// does not. A result also has `failures`: what the client threw each time.
const { RestClient } = require("okx-api");

const realNow = Date.now;
const METHODS = { get_account_bills: "getBills", get_account_bills_archive: "getBillsArchive" };

class OffsetDate extends Date {
  constructor(...given) {
    super(...(given.length ? given : [realNow() + 1000 * OffsetDate.offset_s]));
  }
}

async function resultOf(job, call) {
  const given = { ...job.credentials, ...call.credentials };
  OffsetDate.offset_s = call.clock_s ?? 0;
  const client = new RestClient(
    { apiKey: given.api_key, apiSecret: given.api_secret, apiPass: given.passphrase, baseUrl: job.url },
    call.timeout_ms ? { timeout: call.timeout_ms } : {},
  );
  const rows = [];
  const failures = [];
  let params = call.params;
  let pages = 0;
  while (pages < 200) {
    let page;
    try {
      page = await client[METHODS[call.method]](params && { ...params });
    } catch (thrown) {
      const said = thrown.code ? thrown : { code: String(thrown), msg: "" };
      failures.push(said.code);
      if (failures.length > (call.tries ?? 0)) return { error: said.code, msg: said.msg, pages, failures };
      continue;
    }
    rows.push(...page);
    pages += 1;
    if (!page.length || !call.drain) break;
    params = { ...params, after: page[page.length - 1].billId };
  }
  return { rows, pages, failures };
}

async function main() {
  const job = JSON.parse(require("fs").readFileSync(0, "utf8"));
  global.Date = OffsetDate;
  const results = [];
  for (const call of job.calls) results.push(await resultOf(job, call));
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  process.stderr.write(String(error && error.stack));
  process.exit(1);
});
