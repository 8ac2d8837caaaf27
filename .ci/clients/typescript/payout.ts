// Makes the documented payout with the generated TypeScript types, from a fresh account to the receipt.
import assert from "node:assert/strict";
import { argv } from "node:process";

import createClient from "openapi-fetch";

import type { components, paths } from "./concierge.js";

type Output = components["schemas"]["ConciergeRequestOutputsCreation"];

const base = argv[2] ?? "";
const client = createClient<paths>({ baseUrl: base, headers: { Authorization: "typescript-client" } });

function body(amount: number): Output {
  return {
    data: {
      type: "concierge_request_outputs",
      attributes: { port_code: "cl_clp", amount },
      relationships: {
        request: { data: { id: 1010, type: "concierge_requests" } },
        withdrawal_instruction: { data: { id: 2121, type: "withdrawal_instructions" } },
        user: { data: { id: 20202, type: "users" } },
      },
    },
  };
}

const request = { params: { path: { id: "1010" } } };

const clock = await client.POST("/_sandbox/clock/freeze");
assert.equal(clock.data?.frozen, true);

const refused = await client.POST("/api/concierge_request_outputs", { body: body(-1) });
assert.equal(refused.response.status, 422);
assert.equal(refused.error?.errors[0]?.code, "amount_not_positive");

const made = await client.POST("/api/concierge_request_outputs", { body: body(1000) });
const id = made.data?.data.id ?? "";
assert.deepEqual([id, made.data?.data.attributes.state], ["32323", "accepting"]);
await client.POST("/_sandbox/settle");
const accepted = await client.GET("/api/concierge_request_outputs/{id}", { params: { path: { id } } });
assert.equal(accepted.data?.data.attributes.state, "accepted");

const asked = await client.POST("/api/concierge_requests/{id}/request_quote", request);
assert.equal(asked.data?.data.attributes.state, "quote_requested");
await client.POST("/api/concierge_requests/{id}/accept_quote", request);
const moved = await client.POST("/_sandbox/settle");
assert.ok((moved.data?.happened.length ?? 0) > 3);
const finished = await client.GET("/api/concierge_requests/{id}", request);
assert.equal(finished.data?.data.attributes.state, "finished");
const receipt = finished.data?.data.attributes.receipt_url ?? "";
assert.ok(receipt.startsWith(`${base}/receipts/`));

const outputs = await client.GET("/api/concierge_request_outputs", { params: { query: { "filter[state]": ["settled"] } } });
assert.deepEqual(outputs.data?.data.map((output) => output.id), [id]);
console.log(`output ${id}: ${receipt}`);
