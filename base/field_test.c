/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/field.h"
#include "tests/check.h"
#include <errno.h>

struct inner {
    u32 a;
    u16 b, c;
};
struct sample {
    u64 x;
    i64 when;
    struct inner in[2];
    u8 bytes[5];
    bool on;
    char text[10];
};

static const struct field inner_fields[] = { FIELD(1, struct inner, a, 0, "a"),
                                             FIELD(2, struct inner, b, 0, "b"),
                                             FIELD(3, struct inner, c, 0, "c"), FIELD_END };
static const struct field sample_fields[] = {
    FIELD(1, struct sample, x, F_MUST, "x"),
    FIELD_TIME(2, struct sample, when, 0, "when"),
    FIELD_SUB(3, struct sample, in, 0, "in", inner_fields),
    FIELDS(4, struct sample, bytes, 0, "bytes"),
    FIELD(5, struct sample, on, 0, "on"),
    FIELD_TEXT(6, struct sample, text, 0, "text"),
    FIELD_END,
};
static const struct sample full = { .x = 0x1122334455667788,
                                    .when = -5,
                                    .in = { { 1, 2, 3 }, { 4, 5, 6 } },
                                    .bytes = { 9, 8, 7, 6, 5 },
                                    .on = true,
                                    .text = "hello" };

static void table_is_sound(void)
{
    u8 map[sizeof(struct sample)] = { 0 };
    static const struct field twice[] = { FIELD(1, struct inner, a, 0, "a"),
                                          FIELD(1, struct inner, b, 0, "b"), FIELD_END };

    CHECK_EQ(field_check(sample_fields, sizeof(struct sample), NULL), 0);
    CHECK_EQ(field_check(twice, sizeof(struct inner), NULL), (u64)-EINVAL);
    field_mark(sample_fields, map, sizeof(map));
    for (size_t i = 0; i < sizeof(map); i++)
        CHECK(map[i] == 1);
}

static void round_trip(void)
{
    struct sample back = { 0 };
    struct buf b = { 0 };

    CHECK_EQ(field_save(sample_fields, &full, &b), 0);
    CHECK_EQ(field_load(sample_fields, &back, (struct span){ b.p, b.len }, NULL), 0);
    CHECK(!memcmp(&full, &back, sizeof(full)));
    buf_fini(&b);
}

static void damage_is_refused_or_loads(void)
{
    struct buf b = { 0 };
    u32 seed = 1;

    CHECK_EQ(field_save(sample_fields, &full, &b), 0);
    for (size_t cut = 0; cut < b.len; cut++) {
        struct sample back = { 0 };
        u8 *copy = malloc(cut + 1);

        memcpy(copy, b.p, cut);
        field_load(sample_fields, &back, (struct span){ copy, cut }, NULL);
        free(copy);
    }
    for (int i = 0; i < 20000; i++) {
        struct sample back = { 0 };
        u8 *copy = malloc(b.len);
        struct err e = { 0 };

        memcpy(copy, b.p, b.len);
        seed = seed * 1103515245 + 12345;
        copy[(seed >> 8) % b.len] ^= (u8)(1u << (seed & 7));
        if (field_load(sample_fields, &back, (struct span){ copy, b.len }, &e))
            CHECK(e.text[0] != 0);
        CHECK(back.on == 0 || back.on == 1);
        free(copy);
    }
    buf_fini(&b);
}

static void unknown_fields(void)
{
    static const struct field newer[] = { FIELD(1, struct inner, a, 0, "a"),
                                          FIELD(9, struct inner, b, 0, "b"), FIELD_END };
    static const struct field must[] = { FIELD(9, struct inner, b, F_MUST, "b"), FIELD_END };
    struct inner from = { 7, 8, 9 }, to = { 0 };
    struct err e = { 0 };
    struct buf b = { 0 };

    CHECK_EQ(field_save(newer, &from, &b), 0);
    CHECK_EQ(field_load(inner_fields, &to, (struct span){ b.p, b.len }, NULL), 0);
    CHECK_EQ(to.a, 7);
    CHECK_EQ(to.b, 0);
    b.len = 0;
    CHECK_EQ(field_save(must, &from, &b), 0);
    CHECK_EQ(field_load(inner_fields, &to, (struct span){ b.p, b.len }, &e), (u64)-EOPNOTSUPP);
    buf_fini(&b);
}

static void setting_by_name(void)
{
    struct sample s = { 0 };
    struct err e = { 0 };

    CHECK_EQ(field_set(sample_fields, &s, "x", "0x10", &e), 0);
    CHECK_EQ(s.x, 16);
    CHECK_EQ(field_set(sample_fields, &s, "on", "yes", &e), 0);
    CHECK(s.on);
    CHECK_EQ(field_set(sample_fields, &s, "text", "abc", &e), 0);
    CHECK_TEXT(s.text, "abc");
    CHECK_EQ(field_set(sample_fields, &s, "text", "0123456789", &e), (u64)-EINVAL);
    CHECK_EQ(field_set(sample_fields, &s, "none", "1", &e), (u64)-ENOENT);
    CHECK_EQ(field_set(sample_fields, &s, "x", "12z", &e), (u64)-EINVAL);
}

int main(void)
{
    CASE(table_is_sound);
    CASE(round_trip);
    CASE(damage_is_refused_or_loads);
    CASE(unknown_fields);
    CASE(setting_by_name);
    return check_end();
}
