/* domain_records.c: see domain_records.h. */
#include "domain_records.h"
#include "control.h"
#include "domain/provider.h"

void bh_records_print_table(const json_t *records)
{
    static const char *const headings[] = {"FOR", "TYPE", "NAME", "VALUE", "NEEDED", "STATUS"};
    static const char *const members[] = {"purpose", "type", "name", "value", "required", "status"};
    struct bh_cli_table *table = bh_cli_table_new(headings, 6);

    for (size_t i = 0; i < json_array_size(records); i++)
        for (size_t k = 0; k < 6; k++)
            bh_table_member(table, json_array_get(records, i), members[k]);
    bh_cli_table_print(table);
}

/* TXT data in strings of at most 255 bytes, quoted (RFC 1035 5.1). */
static void print_txt(const char *value)
{
    size_t left = strlen(value);

    do {
        size_t part = left < 255 ? left : 255;

        (void)putchar('"');
        for (size_t i = 0; i < part; i++) {
            if (value[i] == '"' || value[i] == '\\')
                (void)putchar('\\');
            (void)putchar(value[i]);
        }
        (void)fputs(left > part ? "\" " : "\"", stdout);
        value += part;
        left -= part;
    } while (left);
}

static bool is_host_valued(const char *type)
{
    return strcmp(type, "CNAME") == 0 || strcmp(type, "NS") == 0 || strcmp(type, "MX") == 0;
}

void bh_records_print_zone(const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);
        const char *type = bh_json_text(record, "type"), *value = bh_json_text(record, "value");
        size_t n = strlen(value);

        if (!json_is_true(json_object_get(record, "required")))
            (void)fputs("; optional: ", stdout);
        (void)printf("%s. %lld IN %s ", bh_json_text(record, "name"),
                     (long long)json_integer_value(json_object_get(record, "ttl")), type);
        if (strcmp(type, "TXT") == 0)
            print_txt(value);
        else
            (void)printf("%s%s", value, is_host_valued(type) && n && value[n - 1] != '.' ? "." : "");
        (void)putchar('\n');
    }
}

static void print_csv_field(const char *text, const char *end)
{
    (void)putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            (void)putchar('"');
        (void)putchar(*text);
    }
    (void)printf("\"%s", end);
}

static void print_records_csv(const json_t *records)
{
    static const char *const members[] = {"purpose", "type", "name", "host", "value"};

    (void)printf("purpose,type,name,host,value,ttl,required\n");
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *record = json_array_get(records, i);

        for (size_t k = 0; k < 5; k++)
            print_csv_field(bh_json_text(record, members[k]), ",");
        (void)printf("%lld,%s\n", (long long)json_integer_value(json_object_get(record, "ttl")),
                     json_is_true(json_object_get(record, "required")) ? "yes" : "no");
    }
}

/* ---- a provider's form ---- */

static bool find_provider(struct bh_arena *arena, const char *id, const struct bh_provider **ret_provider)
{
    struct bh_providers providers;
    size_t line;

    if (bh_providers_parse(arena, bh_providers_builtin(), &providers, &line))
        return false;
    *ret_provider = bh_provider_by_id(&providers, bh_str_c(id));
    if (*ret_provider)
        return true;
    (void)bh_cli_fail("domain", "--provider %s is not known; these are:", id);
    for (size_t i = 0; i < providers.count; i++)
        (void)fprintf(stderr, "  %-18.*s %.*s\n", BH_FMT(providers.list[i].id), BH_FMT(providers.list[i].name));
    return false;
}

static void print_for_provider(const struct bh_provider *provider, const json_t *records, bh_str apex)
{
    struct bh_buf text = bh_buf_make(1 << 20);

    (void)printf("What to type at %.*s, in the zone %.*s:\n", BH_FMT(provider->name), BH_FMT(apex));
    if (!provider->verified)
        (void)printf("(This is what most forms want; that of %.*s may differ.)\n", BH_FMT(provider->name));
    if (provider->note.n)
        (void)printf("%.*s\n", BH_FMT(provider->note));
    for (size_t i = 0; i < json_array_size(records); i++) {
        const json_t *json = json_array_get(records, i);
        struct bh_required_record record = {.name = bh_str_c(bh_json_text(json, "name")),
                                            .value = bh_str_c(bh_json_text(json, "value")),
                                            .ttl_s = (uint32_t)json_integer_value(json_object_get(json, "ttl"))};

        if (bh_dns_type_parse(bh_str_c(bh_json_text(json, "type")), &record.type))
            continue;
        bh_buf_printf(&text, "\n%s%s\n", bh_json_text(json, "why"),
                      json_is_true(json_object_get(json, "required")) ? "" : " (Optional.)");
        bh_provider_print(&text, provider, &record, apex);
    }
    (void)printf("%.*s", BH_FMT(bh_buf_view(&text)));
    bh_buf_free(&text);
}

/* ---- the command ---- */

static const struct {
    const char *word;
    void (*print)(const json_t *records);
} formats[] = {{"table", bh_records_print_table}, {"zone", bh_records_print_zone}, {"csv", print_records_csv}};

static void print_records(const struct bh_cli *cli, const json_t *domain, const char *format,
                          const struct bh_provider *provider)
{
    const json_t *records = json_object_get(domain, "records");
    bh_str apex = bh_str_c(bh_json_text(domain, "zone_apex"));

    if (cli->json || strcmp(format, "json") == 0)
        bh_cli_print_json(json_incref(json_object_get(domain, "records")));
    else if (provider)
        print_for_provider(provider, records,
                           apex.n ? apex : bh_domain_registrable(bh_str_c(bh_json_text(domain, "name"))));
    for (size_t i = 0; !provider && !cli->json && i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i].word, format) == 0)
            formats[i].print(records);
}

static bool is_format(const char *format)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (strcmp(formats[i].word, format) == 0)
            return true;
    return strcmp(format, "json") == 0;
}

int bh_domain_records(const struct bh_cli *cli, json_t *args, const char *format, const char *provider_id)
{
    struct bh_arena *arena = bh_arena_new(1 << 20);
    const struct bh_provider *provider = NULL;
    int status = BH_EXIT_USAGE;
    json_t *result;

    if (!format)
        format = "table";
    if (!is_format(format)) {
        status = bh_cli_fail("domain", "--format %s: must be table, zone, csv or json", format);
        json_decref(args);
    } else if (provider_id && !find_provider(arena, provider_id, &provider)) {
        json_decref(args);
    } else if ((result = bh_control_ask(cli, "domain", "show", args, -1, &status))) {
        print_records(cli, result, format, provider);
        json_decref(result);
        status = BH_EXIT_OK;
    }
    bh_arena_free(arena);
    return status;
}

/* ---- preview ---- */

static void print_list(const char *what, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        (void)printf("%s%s\n", i ? "                " : what, json_string_value(json_array_get(list, i)));
}

static void print_approach(const json_t *approach)
{
    (void)printf("\n%s%s: %s\n", bh_json_text(approach, "approach"),
                 json_is_true(json_object_get(approach, "recommended")) ? " (recommended)" : "",
                 bh_json_text(approach, "summary"));
    (void)printf("  costs the customer: %s\n  costs us:           %s\n", bh_json_text(approach, "asks"),
                 bh_json_text(approach, "costs_us"));
    if (*bh_json_text(approach, "drawback"))
        (void)printf("  drawback:           %s\n", bh_json_text(approach, "drawback"));
    bh_records_print_zone(json_object_get(approach, "records"));
}

void bh_preview_print(const json_t *preview)
{
    const json_t *provider = json_object_get(preview, "provider"), *approaches = json_object_get(preview, "approaches");

    (void)printf("%s, in the zone %s\n", bh_json_text(preview, "name"), bh_json_text(preview, "zone_apex"));
    print_list("name servers:   ", json_object_get(preview, "name_servers"));
    if (json_is_object(provider))
        (void)printf("DNS provider:   %s (%lld %% of the name servers); behalf domain records --provider %s\n",
                     bh_json_text(provider, "name"),
                     (long long)json_integer_value(json_object_get(provider, "percent")), bh_json_text(provider, "id"));
    else
        (void)printf("DNS provider:   not known\n");
    if (json_is_object(provider) && *bh_json_text(provider, "note"))
        (void)printf("                %s\n", bh_json_text(provider, "note"));
    print_list("Domain Connect: ", json_object_get(preview, "domain_connect"));
    print_list("SPF now:        ", json_object_get(preview, "spf"));
    print_list("DMARC now:      ", json_object_get(preview, "dmarc"));
    (void)printf("recommended:    %s. %s\n", bh_json_text(preview, "recommended"), bh_json_text(preview, "why"));
    for (size_t i = 0; i < json_array_size(approaches); i++)
        print_approach(json_array_get(approaches, i));
    (void)printf("\nT stands for what is chosen at random when the domain is added.\n");
}
