// A program that calls the public client `bybit-api`: a job as JSON on standard input, its results on standard output.
// The job is that of public.py; with `tries` a call that fails is made again, so many times at most, because the client
// does not. A result also has `failures`: what the client threw or handed back each time. `options` are the client's.
const { RestClientV5 } = require("bybit-api");

const realNow = Date.now;

async function resultOf(job, call) {
  const given = { ...job.credentials, ...call.credentials };
  Date.now = () => realNow() + 1000 * (call.clock_s ?? 0);
  const client = new RestClientV5(
    { key: given.api_key, secret: given.api_secret, baseUrl: job.url, ...call.options },
    call.timeout_ms ? { timeout: call.timeout_ms } : {},
  );
  const rows = [];
  const failures = [];
  let limits;
  let pages = 0;
  for (const [begin, end] of call.windows ?? [[undefined, undefined]]) {
    let params = { accountType: "UNIFIED", startTime: begin ?? undefined, endTime: end ?? undefined, ...call.params };
    while (pages < 500) {
      let answer;
      try {
        answer = await client.getTransactionLog({ ...params });
      } catch (thrown) {
        answer = { retCode: thrown.retCode ?? thrown.code ?? String(thrown), retMsg: thrown.retMsg ?? thrown.message };
      }
      if (answer.retCode !== 0) {
        failures.push(answer.retCode);
        if (failures.length > (call.tries ?? 0)) {
          return { error: answer.retCode, msg: answer.retMsg, pages, failures };
        }
        continue;
      }
      rows.push(...answer.result.list);
      limits = answer.rateLimitApi;
      pages += 1;
      if (!answer.result.nextPageCursor || !call.drain) break;
      params = { ...params, cursor: answer.result.nextPageCursor };
    }
  }
  return { rows, pages, failures, limits };
}

async function main() {
  const job = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const results = [];
  for (const call of job.calls) results.push(await resultOf(job, call));
  process.stdout.write(JSON.stringify(results));
}

main().catch((error) => {
  process.stderr.write(String(error && error.stack));
  process.exit(1);
});
