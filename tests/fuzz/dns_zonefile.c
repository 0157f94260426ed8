/* dns_zonefile.c: any text as a master file; whatever is read is valid and can be printed and read again. */
#include "proto/dns/zone_load.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct bh_dns_zonefile_record *record)
{
    struct bh_buf text = bh_buf_make(1 << 20);
    struct bh_dns_zonefile_record again;
    struct bh_dns_zonefile file;

    if (!bh_dns_name_valid(bh_dns_name_view(&record->owner)) || !bh_dns_rdata_valid(record->type, record->rdata))
        abort();
    bh_dns_record_print(&text, bh_dns_name_view(&record->owner), record->ttl_s, record->klass, record->type,
                        record->rdata);
    if (bh_buf_err(&text) == BH_OK) {
        bh_dns_zonefile_begin(&file, bh_buf_view(&text), NULL, 0, NULL, NULL);
        if (bh_dns_zonefile_next(&file, &again) != BH_MORE || again.type != record->type ||
            again.ttl_s != record->ttl_s || !bh_str_eq(again.rdata, record->rdata) ||
            !bh_str_eq(bh_dns_name_view(&again.owner), bh_dns_name_view(&record->owner)))
            abort();
        bh_dns_zonefile_end(&file);
    }
    bh_buf_free(&text);
}

/* A line of which makes a million records: slow, and nothing that 50 do not show. */
static bool has_generate(bh_str text)
{
    for (size_t i = 0; i + 9 <= text.n; i++)
        if (bh_str_eq_ci(bh_str_sub(text, i, 9), BH_STR("$GENERATE")))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bh_str text = {(const char *)data, size};
    struct bh_dns_zone_builder *builder = bh_dns_zone_builder_new(5);
    struct bh_dns_zonefile_record record;
    struct bh_dns_zone_error error;
    struct bh_dns_zone *zone = NULL;
    struct bh_dns_zonefile file;

    bh_dns_zonefile_begin(&file, text, NULL, 60, NULL, NULL);
    bh_dns_zonefile_allow_generate(&file, 50);
    while (bh_dns_zonefile_next(&file, &record) == BH_MORE)
        check_record(&record);
    bh_dns_zonefile_end(&file);
    if (!has_generate(text) && bh_dns_zone_from_text(builder, text, NULL, &zone, &error) == BH_OK)
        bh_dns_zone_unref(zone);
    bh_dns_zone_builder_free(builder);
    return 0;
}
