/* messages.c: the codec that messages.h describes. */
#include "messages.h"

static const char *const role_names[BH_ROLE_KINDS] = {"master", "controld", "keyd",    "smtpd", "queued",
                                                      "sender", "dnsd",     "steward", "webd",  "reader"};

const char *bh_role_name(enum bh_role_kind kind)
{
    return (unsigned)kind < BH_ROLE_KINDS ? role_names[kind] : "?";
}

static void put_i64(struct bh_buf *out, int64_t v)
{
    bh_buf_u64(out, (uint64_t)v);
}

static int64_t get_i64(struct bh_cur *cur)
{
    return (int64_t)bh_cur_u64(cur);
}

#define PUT_u8 bh_buf_u8
#define PUT_u16 bh_buf_u16
#define PUT_u32 bh_buf_u32
#define PUT_u64 bh_buf_u64
#define PUT_i64 put_i64
#define PUT_str bh_buf_str
#define GET_u8 bh_cur_u8
#define GET_u16 bh_cur_u16
#define GET_u32 bh_cur_u32
#define GET_u64 bh_cur_u64
#define GET_i64 get_i64
#define GET_str bh_cur_str
#define PUT(type, name) PUT_##type(out, from->name);
#define GET(type, name) got.name = GET_##type(&cur);
#define GET_LISTED(type, name) got.name = GET_##type(list);

#define DEFINE_MESSAGE(name)                                                                                           \
    void bh_msg_##name##_put(struct bh_buf *out, const struct bh_msg_##name *from){                                    \
        BH_FIELDS_##name(PUT)} bh_err bh_msg_##name##_get(bh_str body, struct bh_msg_##name *ret_message)              \
    {                                                                                                                  \
        struct bh_cur cur = bh_cur_make(body);                                                                         \
        struct bh_msg_##name got;                                                                                      \
                                                                                                                       \
        BH_FIELDS_##name(GET) if (!bh_cur_done(&cur)) return BH_E_SYNTAX;                                              \
        *ret_message = got;                                                                                            \
        return BH_OK;                                                                                                  \
    }
BH_MESSAGE_STRUCTS(DEFINE_MESSAGE)

#define DEFINE_RECORD(name)                                                                                            \
    void bh_rec_##name##_put(struct bh_buf *out, const struct bh_rec_##name *from){                                    \
        BH_REC_##name(PUT)} bh_err bh_rec_##name##_next(struct bh_cur *list, struct bh_rec_##name *ret_record)         \
    {                                                                                                                  \
        struct bh_rec_##name got;                                                                                      \
                                                                                                                       \
        if (bh_cur_done(list))                                                                                         \
            return BH_DONE;                                                                                            \
        BH_REC_##name(GET_LISTED) if (!bh_cur_ok(list)) return BH_E_TRUNCATED;                                         \
        *ret_record = got;                                                                                             \
        return BH_MORE;                                                                                                \
    }
BH_RECORDS(DEFINE_RECORD)

const char *bh_message_name(uint16_t type)
{
    switch (type) {
#define NAME_OF(NAME, number, name)                                                                                    \
    case (number):                                                                                                     \
        return #NAME;
        BH_MESSAGES(NAME_OF)
    default:
        return "?";
    }
}
