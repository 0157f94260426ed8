/* api.c: see api.h. An answer finds its way by the entry in `running`; where the connection has gone meanwhile, the
 * entry's peer is NULL and the answer is dropped. */
#include "api.h"
#include "command.h"
#include <stdlib.h>

struct running {
    struct bh_list node;
    struct bh_control_api *api;
    struct bh_peer *peer; /* NULL: gone */
    uint32_t id;
};

void bh_control_api_init(struct bh_control_api *api, struct bh_controld *core)
{
    *api = (struct bh_control_api){.core = core};
    bh_list_init(&api->running);
}

static void reply(struct bh_peer *peer, uint32_t id, const char *json)
{
    struct bh_msg_command message = {bh_str_c(json)};
    bh_err err = BH_PEER_SEND(peer, API_COMMAND_REPLY, id, command, &message);

    if (err == BH_E_LIMIT) {
        message.json = BH_STR("{\"ok\":false,\"error\":{\"code\":\"limit\",\"detail\":\"the answer is too large\","
                              "\"fix\":\"Ask for less with limit\"}}");
        err = BH_PEER_SEND(peer, API_COMMAND_REPLY, id, command, &message);
    }
    (void)err; /* a peer that is down needs no answer */
}

static void answered(void *ctx, json_t *answer)
{
    struct running *running = ctx;
    char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

    if (running->peer)
        reply(running->peer, running->id,
              text ? text
                   : "{\"ok\":false,\"error\":{\"code\":\"temporary\",\"detail\":\"out of memory\",\"fix\":\"\"}}");
    free(text);
    json_decref(answer);
    bh_list_remove(&running->node);
    running->api->count--;
    free(running);
}

bh_err bh_control_api_take(struct bh_control_api *api, struct bh_peer *peer, const struct bh_ipc_message *message)
{
    struct bh_msg_api_command command;
    struct running *running;
    bh_err err = bh_msg_api_command_get(message->body, &command);

    if (err)
        return err;
    if (api->count >= BH_CONTROL_API_MAX) {
        reply(peer, message->id,
              "{\"ok\":false,\"error\":{\"code\":\"temporary\",\"detail\":\"too many commands are under way\","
              "\"fix\":\"Try again in a moment\"}}");
        return BH_OK;
    }
    running = calloc(1, sizeof(*running));
    if (!running)
        return BH_E_NOMEM;
    *running = (struct running){.api = api, .peer = peer, .id = message->id};
    bh_list_push(&api->running, &running->node);
    api->count++;
    bh_command_run_for(api->core, command.secret_hash, command.json, answered, running);
    return BH_OK;
}

void bh_control_api_peer_down(struct bh_control_api *api, const struct bh_peer *peer)
{
    BH_LIST_EACH (node, &api->running) {
        struct running *running = BH_CONTAINER_OF(node, struct running, node);

        if (running->peer == peer)
            running->peer = NULL;
    }
}
