/*
 * count.c - a QEMU TCG plugin that counts executed guest instructions.
 *
 *   cc -O2 -shared -fPIC -o count.so count.c -lpthread
 *   qemu-system-x86_64 -accel tcg ... -plugin count.so,socket=PATH
 *
 * Each connection to the Unix socket PATH is answered with one line, "total=N firmware=N\n", and closed.
 *
 * Counting starts at reset. A translation block counts whole when it is entered, so one that an exception leaves in its
 * middle counts a few too many. A repeated string instruction counts about once however long it is, and halted time adds
 * nothing. `firmware` is the share executed at [0xC0000, 0xFFFFF] or in the last 2 MiB below 4 GiB,
 * where firmware and option ROMs lie; code that SeaBIOS moves into high memory is not in it.
 *
 * The plugin interface is declared here by hand, so no QEMU header is needed: version 2 (QEMU 9.0 and later) with counters
 * that QEMU keeps for each virtual CPU, and version 1 (QEMU 7 and 8), where one counter serves all of them and two that
 * run at once may lose an addition. What a QEMU lacks is a weak symbol without an address.
 * Source: QEMU, docs/devel/tcg-plugins.rst and include/qemu/qemu-plugin.h of 7.2 and 10.0.
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_scoreboard;
typedef struct {
    struct qemu_plugin_scoreboard *score;
    size_t offset;
} qemu_plugin_u64;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64, QEMU_PLUGIN_INLINE_STORE_U64 };
struct qemu_info;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
#pragma weak qemu_plugin_register_vcpu_tb_exec_inline
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *, uint64_t);
#pragma weak qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu
void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(struct qemu_plugin_tb *, enum qemu_plugin_op, qemu_plugin_u64,
                                                       uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
#pragma weak qemu_plugin_scoreboard_new
struct qemu_plugin_scoreboard *qemu_plugin_scoreboard_new(size_t);
#pragma weak qemu_plugin_u64_sum
uint64_t qemu_plugin_u64_sum(qemu_plugin_u64);

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int qemu_plugin_version = 2;

/* Runs before QEMU reads the version, and so can say what fits the QEMU at hand. */
__attribute__((constructor)) static void choose_version(void)
{
    if (!qemu_plugin_scoreboard_new)
        qemu_plugin_version = 1;
}

/* One per virtual CPU, kept by QEMU; with version 1 the one below. */
struct counts {
    uint64_t total, firmware;
};

struct counter {
    qemu_plugin_u64 per_cpu;
    uint64_t shared;
};

static struct counter total, firmware;

static void add_on_execution(struct qemu_plugin_tb *block, struct counter *counter, uint64_t instructions)
{
    if (qemu_plugin_version == 1)
        qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &counter->shared, instructions);
    else
        qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, QEMU_PLUGIN_INLINE_ADD_U64, counter->per_cpu,
                                                          instructions);
}

static uint64_t value(const struct counter *counter)
{
    return qemu_plugin_version == 1 ? counter->shared : qemu_plugin_u64_sum(counter->per_cpu);
}

static bool in_firmware(uint64_t address)
{
    return (address >= 0xC0000 && address <= 0xFFFFF) || (address >= 0xFFE00000 && address <= 0xFFFFFFFF);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t instructions = qemu_plugin_tb_n_insns(block);
    add_on_execution(block, &total, instructions);
    if (in_firmware(qemu_plugin_tb_vaddr(block)))
        add_on_execution(block, &firmware, instructions);
}

static void answer(int client)
{
    char line[96];
    int length = snprintf(line, sizeof line, "total=%" PRIu64 " firmware=%" PRIu64 "\n", value(&total), value(&firmware));
    if (send(client, line, length, MSG_NOSIGNAL) < 0)
        perror("count: send");
    close(client);
}

static void *serve(void *listener)
{
    sigset_t all; /* QEMU's signals are for its own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;) {
        int client = accept((int)(intptr_t)listener, NULL, NULL);
        if (client >= 0)
            answer(client);
    }
}

/* The socket exists when QEMU's start is over, since this runs before the machine is built. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "count: the socket's path is too long: %s\n", path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8)) {
        perror("count: socket");
        return -1;
    }
    return listener;
}

EXPORTED int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int count, char **options)
{
    (void)info;
    if (count != 1 || strncmp(options[0], "socket=", 7) != 0) {
        fprintf(stderr, "count: give exactly one option, socket=PATH\n");
        return -1;
    }
    if (qemu_plugin_version != 1) {
        struct qemu_plugin_scoreboard *board = qemu_plugin_scoreboard_new(sizeof(struct counts));
        total.per_cpu = (qemu_plugin_u64){board, offsetof(struct counts, total)};
        firmware.per_cpu = (qemu_plugin_u64){board, offsetof(struct counts, firmware)};
    }
    int listener = listen_at(options[0] + 7);
    pthread_t server;
    if (listener < 0 || pthread_create(&server, NULL, serve, (void *)(intptr_t)listener))
        return -1;
    pthread_detach(server);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
