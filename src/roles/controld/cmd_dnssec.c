/* cmd_dnssec.c: signing of zones: on, off, a new key, and how the keys stand. */
#include "command.h"
#include "report.h"

static json_t *key_json(struct bh_command *command, const struct bh_domain *domain, const struct bh_dnssec *dnssec,
                        const struct bh_zone_key *key)
{
    return json_pack("{s:i, s:s, s:o, s:o, s:s, s:b}", "tag", bh_zone_key_tag(key), "state",
                     bh_zone_key_state_name(key->state), "since", bh_json_time(key->state_at), "ds",
                     bh_json_str(bh_zone_key_ds_text(command->arena, key, domain->name)), "at_parent",
                     bh_ds_seen_name(key->ds), "to_publish", key == bh_dnssec_parent_key(dnssec));
}

/* What is waited for, in a sentence. */
static const char *standing(const struct bh_dnssec *dnssec)
{
    const struct bh_zone_key *key = bh_dnssec_parent_key(dnssec);

    if (!dnssec->key_count)
        return dnssec->wanted ? "the first key is being made" : "not signed";
    if (!dnssec->wanted)
        return dnssec->ds_count ? "to be turned off: remove the DS record at the parent"
                                : "being turned off: signed until nobody can remember the DS record";
    if (!key)
        return "signed; the DS record is shown when every cache knows the signed zone";
    if (dnssec->keys[dnssec->key_count - 1].state == BH_ZONE_KEY_NEW)
        return "a new key is being published; its DS record is shown when every cache knows it";
    if (key->state == BH_ZONE_KEY_READY)
        return dnssec->ds_count ? "replace the DS record at the parent" : "publish the DS record at the parent";
    return dnssec->key_count > 1 ? "the DS record is right; the old key stays until nobody can remember its DS record"
                                 : "the DS record at the parent is right";
}

static void answer_keys(struct bh_command *command, const struct bh_domain *domain)
{
    json_t *keys;
    struct bh_dnssec dnssec;
    bh_err err = bh_dnssec_read(command->core->store, command->arena, domain->id, false, &dnssec);

    if (err) {
        bh_command_fail_err(command, err, "cannot read the keys");
        return;
    }
    keys = json_array();
    for (size_t i = 0; i < dnssec.key_count; i++)
        (void)json_array_append_new(keys, key_json(command, domain, &dnssec, &dnssec.keys[i]));
    bh_command_done(command, json_pack("{s:o, s:b, s:s, s:o, s:o}", "domain", bh_json_str(domain->name), "dnssec",
                                       dnssec.wanted, "standing", standing(&dnssec), "parent_asked_at",
                                       bh_json_time(dnssec.asked_at), "keys", keys));
}

static bool has_a_zone(struct bh_command *command, const struct bh_domain *domain)
{
    if (bh_domain_has_zone(domain) || domain->approach == BH_APPROACH_PLATFORM)
        return true;
    bh_command_fail(command, "invalid", "Only delegated domains have a zone of ours to sign",
                    "%.*s is not delegated to us", BH_FMT(domain->name));
    return false;
}

static const char *const domain_arguments[] = {"domain", "customer", NULL};

void bh_dns_keys(struct bh_command *command)
{
    struct bh_domain domain;

    if (bh_command_knows(command, domain_arguments) && bh_command_domain(command, &domain) &&
        has_a_zone(command, &domain))
        answer_keys(command, &domain);
}

void bh_dns_roll(struct bh_command *command)
{
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_knows(command, domain_arguments) || !bh_command_domain(command, &domain) ||
        !has_a_zone(command, &domain))
        return;
    err = bh_zone_keys_roll(command->core, domain.id);
    if (err == BH_E_NOT_FOUND)
        bh_command_fail(command, "invalid", "behalf domain set --dnssec on", "%.*s is not signed", BH_FMT(domain.name));
    else if (err == BH_E_EXISTS)
        bh_command_fail(command, "exists", "behalf dns keys tells what it waits for",
                        "%.*s has a change of keys under way", BH_FMT(domain.name));
    else if (err)
        bh_command_fail_err(command, err, "cannot roll the key");
    else
        answer_keys(command, &domain);
}

/* The platform's zones are turned on and off by the configuration. */
void bh_domain_dnssec(struct bh_command *command)
{
    static const char *const known[] = {"domain", "customer", "dnssec", NULL};
    const json_t *wanted = json_object_get(command->args, "dnssec");
    struct bh_domain domain;
    bh_err err;

    if (!bh_command_knows(command, known) || !bh_command_domain(command, &domain) || !has_a_zone(command, &domain))
        return;
    if (!json_is_boolean(wanted)) {
        bh_command_fail(command, "invalid", "Use on or off", "dnssec is missing");
        return;
    }
    if (domain.approach == BH_APPROACH_PLATFORM) {
        bh_command_fail(command, "invalid", "Set platform in the section dnssec", "the configuration says it for %.*s",
                        BH_FMT(domain.name));
        return;
    }
    err = bh_zone_keys_want(command->core, domain.id, json_is_true(wanted));
    if (err)
        bh_command_fail_err(command, err, "cannot turn signing on or off");
    else
        answer_keys(command, &domain);
}
