/* Starts main on a Cortex-M of QEMU, prints by semihosting. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

extern char data_start[], data_end[], data_from[], bss_start[], bss_end[], stack_top[];
extern void initialise_monitor_handles(void);
int main(void);
void start(void);


static void fail(void)
{
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, start, fail, fail, fail, fail, fail,
};

static void leave(int status)
{
    /* angel_SWIreason_ReportExceptionExtended: ADP_Stopped_ApplicationExit, status */
    uint32_t told[2] = {0x20026, (uint32_t)status};
    register uint32_t r0 __asm__("r0") = 0x20;
    register uint32_t *r1 __asm__("r1") = told;
    __asm__ volatile("bkpt 0xab" : : "r"(r0), "r"(r1) : "memory");
}

void start(void)
{
    memcpy(data_start, data_from, (size_t)(data_end - data_start));
    memset(bss_start, 0, (size_t)(bss_end - bss_start));
    initialise_monitor_handles();
    leave(main());
}
