from httpx import AsyncClient


async def test_a_key_reads_its_tenant(alice: AsyncClient) -> None:
    answer = await alice.get("/v1/tenant")
    print(answer.status_code, answer.headers, answer.text)
    assert answer.status_code == 200


async def test_keys_and_docs(alice: AsyncClient) -> None:
    for url in ("/openapi.json", "/docs", "/docs/problems", "/docs/problems/forbidden", "/health/ready"):
        answer = await alice.get(url)
        print(url, answer.status_code, answer.text[:200])
        assert answer.status_code == 200
    r = await alice.post("/v1/api_keys", json={"name": "x", "scopes": ["tenant:read"]}, headers={"Idempotency-Key": "abc"})
    print(r.status_code, r.headers, r.text)
    r = await alice.post("/v1/api_keys", json={"name": "x", "scopes": ["tenant:read"]}, headers={"Idempotency-Key": "abc"})
    print(r.status_code, r.headers, r.text)
    r = await alice.get("/v1/api_keys?limit=1")
    print(r.status_code, r.headers, r.text)
    r = await alice.post("/v1/test_helpers/clock/advance", json={"to": "2026-04-01T00:00:00Z"})
    print(r.status_code, r.headers, r.text)
    r = await alice.post("/v1/api_keys", json={"name": "", "x": 1, "scopes": ["tenant:read", 3]})
    print(r.status_code, r.headers, r.text)
    r = await alice.patch("/v1/tenant", json={"mode": "off"}, headers={"if-match": '"1"'})
    print(r.status_code, r.headers, r.text)
