/* rfc_auth_examples.c: the examples that the RFCs themselves give, typed in: RFC 6376 Appendix A (as corrected by
 * errata 3192 and 4926: one space after "game.", continuation lines indented as they were signed), RFC 8463 Appendix A,
 * RFC 8601 Appendix B. Prints "name: N passed, N failed, N skipped". */
#include "base/buf.h"
#include <behalf/auth_results.h>
#include <behalf/dkim.h>
#include <behalf/zonefile_resolver.h>
#include <stdio.h>

static const char zone[] =
    "brisbane._domainkey.example.com. TXT ( \"v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ\"\n"
    "\t\"KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt\" \"IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v\"\n"
    "\t\"/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi\" \"tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB\" )\n"
    "brisbane._domainkey.football.example.com. TXT ( \"v=DKIM1; k=ed25519; \"\n"
    "\t\"p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\" )\n"
    "test._domainkey.football.example.com. TXT ( \"v=DKIM1; k=rsa; "
    "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTz\"\n"
    "\t\"WRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lx\"\n"
    "\t\"j+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB\" )\n";

static const char rfc6376_header[] = "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
                                     "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
                                     "      h=Received : From : To : Subject : Date : Message-ID;\r\n"
                                     "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                                     "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
                                     "      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
                                     "      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
                                     "      4bmp/YzhwvcubU4=;\r\n"
                                     "Received: from client1.football.example.com  [192.0.2.1]\r\n"
                                     "      by submitserver.example.com with SUBMISSION;\r\n"
                                     "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n"
                                     "From: Joe SixPack <joe@football.example.com>\r\n"
                                     "To: Suzie Q <suzie@shopping.example.net>\r\n"
                                     "Subject: Is dinner ready?\r\n"
                                     "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                                     "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                                     "\r\n";
static const char rfc6376_body[] = "Hi.\r\n\r\nWe lost the game. Are you hungry yet?\r\n\r\nJoe.\r\n";

static const char rfc8463_header[] = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                                     " d=football.example.com; i=@football.example.com;\r\n"
                                     " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
                                     " subject : date : message-id : from : subject : date;\r\n"
                                     " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                                     " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
                                     " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
                                     "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
                                     " d=football.example.com; i=@football.example.com;\r\n"
                                     " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
                                     " date : message-id : from : subject : date;\r\n"
                                     " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
                                     " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
                                     " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
                                     " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
                                     "From: Joe SixPack <joe@football.example.com>\r\n"
                                     "To: Suzie Q <suzie@shopping.example.net>\r\n"
                                     "Subject: Is dinner ready?\r\n"
                                     "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
                                     "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
                                     "\r\n";
static const char rfc8463_body[] = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";

struct counts {
    unsigned passed;
    unsigned failed;
};

static void count(struct counts *counts, bool ok, const char *what)
{
    counts->passed += ok;
    counts->failed += !ok;
    if (!ok)
        (void)printf("FAIL %s\n", what);
}

/* ---- signatures ---- */

static void done(void *ctx, const struct bh_dkim_verify *verify)
{
    (void)verify;
    *(bool *)ctx = true;
}

/* True when all signatures have `result`, and there are `signatures` of them. */
static bool all_are(struct bh_arena *arena, const char *header, const char *body, size_t signatures,
                    enum bh_dkim_result result)
{
    const struct bh_dkim_config config = {.seed = {1, 2}};
    struct bh_dkim *dkim = bh_dkim_new(&config);
    struct bh_zonefile_resolver *resolver = NULL;
    struct bh_dkim_verify *verify = dkim ? bh_dkim_verify_new(dkim, arena, bh_str_c(header), 0) : NULL;
    bool is_done = false;
    bool ok = verify && bh_zonefile_resolver_new(BH_STR(zone), &resolver, NULL, NULL) == BH_OK;

    if (ok) {
        bh_dkim_verify_body(verify, bh_str_c(body));
        bh_dkim_verify_end(verify, bh_zonefile_resolver_base(resolver), done, &is_done);
        ok = is_done && bh_dkim_verify_count(verify) == signatures;
    }
    for (size_t i = 0; ok && i < signatures; i++)
        ok = bh_dkim_verify_get(verify, i)->result == result;
    bh_dkim_verify_free(verify);
    bh_zonefile_resolver_free(resolver);
    bh_dkim_free(dkim);
    return ok;
}

static void check_signatures(struct bh_arena *arena, struct counts *counts)
{
    count(counts, all_are(arena, rfc6376_header, rfc6376_body, 1, BH_DKIM_PASS), "RFC 6376 A.2");
    count(counts, all_are(arena, rfc6376_header, rfc8463_body, 1, BH_DKIM_FAIL), "RFC 6376 A.2, as first printed");
    count(counts, all_are(arena, rfc8463_header, rfc8463_body, 2, BH_DKIM_PASS), "RFC 8463 A.3");
    count(counts, all_are(arena, rfc8463_header, rfc6376_body, 2, BH_DKIM_PASS), "RFC 8463 A.3, relaxed body");
}

/* RFC 8463 A.1, A.2: the seed and the record that belongs to it. */
static bool makes_the_record(struct bh_arena *arena)
{
    struct bh_dkim_key *key = NULL;
    bh_str record = {NULL, 0};
    bool ok = bh_dkim_key_load(BH_STR("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="), &key) == BH_OK &&
              bh_dkim_key_record(key, arena, &record) == BH_OK;

    ok = ok && bh_str_eq(record, BH_STR("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="));
    bh_dkim_key_free(key);
    return ok;
}

/* ---- RFC 8601 B ---- */

/* "id;method=result(comment|reason)type.name=value,…;…": what was read, for comparison. */
static bh_str summary(struct bh_arena *arena, const char *value)
{
    struct bh_auth_results results;
    bh_str text;

    if (bh_auth_results_read(arena, bh_str_c(value), &results))
        return BH_STR("not read");
    text = bh_arena_printf(arena, "%.*s", BH_FMT(results.authserv_id));
    for (size_t i = 0; i < results.method_count; i++) {
        const struct bh_auth_method *method = &results.methods[i];

        text = bh_arena_printf(arena, "%.*s;%.*s=%.*s", BH_FMT(text), BH_FMT(method->method), BH_FMT(method->result));
        if (method->reason.n)
            text = bh_arena_printf(arena, "%.*s'%.*s'", BH_FMT(text), BH_FMT(method->reason));
        for (size_t k = 0; k < method->property_count; k++)
            text = bh_arena_printf(arena, "%.*s %.*s.%.*s=%.*s", BH_FMT(text), BH_FMT(method->properties[k].type),
                                   BH_FMT(method->properties[k].name), BH_FMT(method->properties[k].value));
    }
    return text;
}

static const struct {
    const char *what;
    const char *value;
    const char *summary;
} fields[] = {
    {"RFC 8601 B.2", " example.org 1; none", "example.org"},
    {"RFC 8601 B.3", " example.com;\r\n          spf=pass smtp.mailfrom=example.net",
     "example.com;spf=pass smtp.mailfrom=example.net"},
    {"RFC 8601 B.4 first",
     " example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n"
     "          spf=pass smtp.mailfrom=example.net",
     "example.com;auth=pass smtp.auth=sender@example.net;spf=pass smtp.mailfrom=example.net"},
    {"RFC 8601 B.4 second", " example.com; iprev=pass\r\n          policy.iprev=192.0.2.200",
     "example.com;iprev=pass policy.iprev=192.0.2.200"},
    {"RFC 8601 B.5 first", " example.com;\r\n          dkim=pass (good signature) header.d=example.com",
     "example.com;dkim=pass header.d=example.com"},
    {"RFC 8601 B.5 second",
     " example.com;\r\n          auth=pass (cram-md5) smtp.auth=sender@example.com;\r\n"
     "          spf=fail smtp.mailfrom=example.com",
     "example.com;auth=pass smtp.auth=sender@example.com;spf=fail smtp.mailfrom=example.com"},
    {"RFC 8601 B.6 first",
     " example.com;\r\n      dkim=pass reason=\"good signature\"\r\n        header.i=@mail-router.example.net;\r\n"
     "      dkim=fail reason=\"bad signature\"\r\n        header.i=@newyork.example.com",
     "example.com;dkim=pass'good signature' header.i=@mail-router.example.net;"
     "dkim=fail'bad signature' header.i=@newyork.example.com"},
    {"RFC 8601 B.6 second", " example.net;\r\n      dkim=pass (good signature) header.i=@newyork.example.com",
     "example.net;dkim=pass header.i=@newyork.example.com"},
    {"RFC 8601 B.7",
     " foo.example.net (foobar) 1 (baz);\r\n        dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
     "          policy (A dot can go here) . (like that) expired\r\n"
     "          (this surprised me) = (as I wasn't expecting it) 1362471462",
     "foo.example.net;dkim=fail policy.expired=1362471462"},
};

static void check_fields(struct bh_arena *arena, struct counts *counts)
{
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        bh_str got = summary(arena, fields[i].value);

        count(counts, bh_str_eq(got, bh_str_c(fields[i].summary)), fields[i].what);
    }
}

int main(void)
{
    struct bh_arena *arena = bh_arena_new(16 << 20);
    struct counts counts = {0, 0};

    if (!arena)
        return 1;
    check_signatures(arena, &counts);
    count(&counts, makes_the_record(arena), "RFC 8463 A.2: public key from the private one");
    check_fields(arena, &counts);
    bh_arena_free(arena);
    (void)printf("rfc_auth_examples: %u passed, %u failed, 0 skipped\n", counts.passed, counts.failed);
    return counts.failed != 0;
}
