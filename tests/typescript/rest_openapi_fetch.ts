// Uploads a file and downloads it again by openapi-fetch and openapi-typescript. Usage: rest_openapi_fetch.js URL API_KEY FILE
import { readFile } from "node:fs/promises";
import { argv, stdout } from "node:process";
import createClient from "openapi-fetch";
import type { paths } from "./generated/rest.js";

const [url, apiKey, file] = argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: `${url}/v2` });

const login = await client.PUT("/api_auth", { body: { data: { api_key: apiKey } } });
if (!login.data) throw new Error(login.error.message);
const account_id: string = login.data.data.account_id;
client.use({
  onRequest({ request }) {
    request.headers.set("X-Auth-Token", login.data.auth_token);
  },
});

const created = await client.PUT("/accounts/{account_id}/media", {
  params: { path: { account_id } },
  body: { data: { name: "From openapi-fetch", language: "fr-fr", prompt_id: "vm-fetch" } },
});
if (!created.data) throw new Error(created.error.message);
const path = { account_id, media_id: created.data.data.id };
const audio = await readFile(file);
const uploaded = await client.POST("/accounts/{account_id}/media/{media_id}/raw", {
  params: { path },
  headers: { "Content-Type": "application/octet-stream" },
  body: "", // strings stand for bytes in the types of this generator; the serializer sends the bytes
  bodySerializer: () => audio,
});
if (!uploaded.data) throw new Error(uploaded.error.message);
const downloaded = await client.GET("/accounts/{account_id}/media/{media_id}/raw", {
  params: { path },
  parseAs: "arrayBuffer",
});
if (!downloaded.data) throw new Error("nothing was downloaded");
const read = Buffer.from(downloaded.data);
if (!read.equals(audio)) throw new Error("what was downloaded differs");
const list = await client.GET("/accounts/{account_id}/media", { params: { path: { account_id }, query: { paginate: false } } });
if (!list.data) throw new Error(list.error.message);
if (!list.data.data.some((row) => row.id === path.media_id)) throw new Error("the media is not in the list");
const { error } = await client.GET("/accounts/{account_id}/media/{media_id}", {
  params: { path: { account_id, media_id: "missing" } },
});
stdout.write(`${uploaded.data.data.content_type} ${read.length} ${error?.message}\n`);
