/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test guest draws: a screen by the kernel's mode setting interface (DRM), by lines of its
 * standard input, each answered by one line.
 *
 *     show W H         a mode of that size with the pattern
 *     paint X Y W H    there the pattern is inverted, and only that is reported
 *     cursor X Y       a pointer, whose hot spot is put there
 *     layout W H       tells the driver of a monitor of that size, as VMware's tools do, and
 *                      shows the mode that the monitor then prefers
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel's interface, as far as it is used here; libc has no header for it. */
struct mode {
    uint32_t clock;
    uint16_t width, h[4], height, v[4];
    uint32_t refresh, flags, type;
    char name[32];
};
struct resources {
    uint64_t fbs, crtcs, connectors, encoders;
    uint32_t nfbs, ncrtcs, nconnectors, nencoders, size[4];
};
struct connector {
    uint64_t encoders, modes, props, values;
    uint32_t nmodes, nprops, nencoders, encoder, id, type, type_id, connection, mm[2], order, pad;
};
struct crtc {
    uint64_t connectors;
    uint32_t nconnectors, id, fb, x, y, gamma, valid;
    struct mode mode;
};
struct dumb {
    uint32_t height, width, bits, flags, handle, pitch;
    uint64_t size;
};
struct map {
    uint32_t handle, pad;
    uint64_t offset;
};
struct fb {
    uint32_t id, width, height, pitch, bits, depth, handle;
};
struct dirty {
    uint32_t fb, flags, colour, nclips;
    uint64_t clips;
};
struct clip {
    uint16_t left, top, right, bottom;
};
struct cursor {
    uint32_t flags, crtc;
    int32_t x, y;
    uint32_t width, height, handle;
    int32_t hot_x, hot_y;
};
struct layout {
    uint32_t n, pad;
    uint64_t rects;
};
struct rect {
    int32_t x, y;
    uint32_t width, height;
};
#define GET_RESOURCES _IOWR('d', 0xa0, struct resources)
#define SET_CRTC _IOWR('d', 0xa2, struct crtc)
#define GET_CONNECTOR _IOWR('d', 0xa7, struct connector)
#define ADD_FB _IOWR('d', 0xae, struct fb)
#define DIRTY_FB _IOWR('d', 0xb1, struct dirty)
#define CREATE_DUMB _IOWR('d', 0xb2, struct dumb)
#define MAP_DUMB _IOWR('d', 0xb3, struct map)
#define CURSOR _IOWR('d', 0xbb, struct cursor)
#define UPDATE_LAYOUT _IOW('d', 0x54, struct layout)
enum { PREFERRED = 8, CURSOR_BO = 1, CURSOR_MOVE = 2, CURSOR_SIZE = 64, HOT_X = 4, HOT_Y = 8 };
enum { MODES = 128, IDS = 32 };

static int card;
static uint32_t crtc_id, connector_id, *pixels, pitch;
static struct fb shown;

static void ask(unsigned long what, void *arg, const char *name)
{
    while (ioctl(card, what, arg))
        if (errno != EINTR && errno != EAGAIN) {
            printf("SCREEN FAIL %s: %s\n", name, strerror(errno));
            exit(1);
        }
}

static uint32_t pattern(uint32_t x, uint32_t y)
{
    return (x * 7 & 255) << 16 | (y * 5 & 255) << 8 | ((x ^ y) & 255);
}

static uint32_t *buffer(struct dumb *d)
{
    struct map m = { 0 };
    void *p;

    ask(CREATE_DUMB, d, "buffer");
    m.handle = d->handle;
    ask(MAP_DUMB, &m, "map");
    p = mmap(NULL, d->size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)m.offset);
    if (p == MAP_FAILED) {
        printf("SCREEN FAIL mmap: %s\n", strerror(errno));
        exit(1);
    }
    return p;
}

/* The mode of that size, or the one that is preferred when no size is given. */
static struct mode find(uint32_t width, uint32_t height)
{
    static struct mode modes[MODES];
    struct connector c = { .id = connector_id };

    ask(GET_CONNECTOR, &c, "probe");
    c = (struct connector){ .id = connector_id,
                            .modes = (uintptr_t)modes,
                            .nmodes = c.nmodes < MODES ? c.nmodes : MODES };
    ask(GET_CONNECTOR, &c, "connector");
    for (uint32_t i = 0; i < c.nmodes && i < MODES; i++)
        if (width ? modes[i].width == width && modes[i].height == height
                  : modes[i].type & PREFERRED)
            return modes[i];
    printf("SCREEN FAIL no mode of %u by %u among %u\n", width, height, c.nmodes);
    exit(1);
}

static void show(uint32_t width, uint32_t height)
{
    struct mode mode = find(width, height);
    struct dumb d = { .width = mode.width, .height = mode.height, .bits = 32 };
    struct crtc c = { .connectors = (uintptr_t)&connector_id,
                      .nconnectors = 1,
                      .id = crtc_id,
                      .valid = 1,
                      .mode = mode };

    pixels = buffer(&d);
    pitch = d.pitch / 4;
    for (uint32_t y = 0; y < mode.height; y++)
        for (uint32_t x = 0; x < mode.width; x++)
            pixels[y * pitch + x] = pattern(x, y);
    shown = (struct fb){ .width = d.width,
                         .height = d.height,
                         .pitch = d.pitch,
                         .bits = 32,
                         .depth = 24,
                         .handle = d.handle };
    ask(ADD_FB, &shown, "fb");
    c.fb = shown.id;
    ask(SET_CRTC, &c, "mode");
    printf("SHOWN %u %u\n", mode.width, mode.height);
}

static void paint(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    struct clip clip = { (uint16_t)x, (uint16_t)y, (uint16_t)(x + width), (uint16_t)(y + height) };
    struct dirty d = { .fb = shown.id, .nclips = 1, .clips = (uintptr_t)&clip };

    for (uint32_t row = y; row < y + height; row++)
        for (uint32_t column = x; column < x + width; column++)
            pixels[row * pitch + column] = ~pattern(column, row) & 0xffffff;
    ask(DIRTY_FB, &d, "dirty");
    printf("PAINTED\n");
}

/* Opaque at the top left, half there for the rest of its upper part, nothing below. */
static void cursor(uint32_t x, uint32_t y)
{
    struct dumb d = { .width = CURSOR_SIZE, .height = CURSOR_SIZE, .bits = 32 };
    struct cursor c = { .flags = CURSOR_BO | CURSOR_MOVE,
                        .crtc = crtc_id,
                        .x = (int32_t)x - HOT_X,
                        .y = (int32_t)y - HOT_Y,
                        .width = CURSOR_SIZE,
                        .height = CURSOR_SIZE,
                        .hot_x = HOT_X,
                        .hot_y = HOT_Y };
    uint32_t *p = buffer(&d);

    for (uint32_t row = 0; row < CURSOR_SIZE; row++)
        for (uint32_t column = 0; column < CURSOR_SIZE; column++)
            p[row * CURSOR_SIZE + column] = row >= 32                 ? 0
                                            : row < 16 && column < 16 ? 0xff2040c0
                                                                      : 0x80800040;
    c.handle = d.handle;
    ask(CURSOR, &c, "cursor");
    printf("POINTED\n");
}

static void layout(uint32_t width, uint32_t height)
{
    struct rect r = { 0, 0, width, height };
    struct layout l = { .n = 1, .rects = (uintptr_t)&r };

    ask(UPDATE_LAYOUT, &l, "layout");
    show(0, 0);
}

int main(void)
{
    static uint32_t crtcs[IDS], connectors[IDS];
    struct resources r = { 0 };
    char line[128], word[16];
    uint32_t a[4];

    setvbuf(stdout, NULL, _IONBF, 0);
    card = open("/dev/dri/card0", O_RDWR | O_CLOEXEC);
    ask(GET_RESOURCES, &r, "resources");
    r = (struct resources){ .crtcs = (uintptr_t)crtcs,
                            .connectors = (uintptr_t)connectors,
                            .ncrtcs = r.ncrtcs < IDS ? r.ncrtcs : IDS,
                            .nconnectors = r.nconnectors < IDS ? r.nconnectors : IDS };
    ask(GET_RESOURCES, &r, "resources");
    crtc_id = crtcs[0];
    connector_id = connectors[0];
    printf("SCREEN READY\n");
    while (fgets(line, sizeof(line), stdin)) {
        int n = sscanf(line, "%15s %u %u %u %u", word, &a[0], &a[1], &a[2], &a[3]);

        if (n == 3 && !strcmp(word, "show"))
            show(a[0], a[1]);
        else if (n == 5 && !strcmp(word, "paint"))
            paint(a[0], a[1], a[2], a[3]);
        else if (n == 3 && !strcmp(word, "cursor"))
            cursor(a[0], a[1]);
        else if (n == 3 && !strcmp(word, "layout"))
            layout(a[0], a[1]);
        else
            printf("SCREEN FAIL not understood: %s", line);
    }
    return 0;
}
