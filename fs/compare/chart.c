/* SPDX-License-Identifier: Apache-2.0 */
#include "chart.h"

#include "text.h"

#define LEFT 190
#define ROOM 420
#define WIDTH 720
#define HEIGHT 16
#define GAP 8

static void add_text(struct buf *out, double x, double y, const char *anchor, const char *text)
{
    buf_addf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    text_html(out, text);
    buf_adds(out, "</text>\n");
}

void chart_bars(struct buf *out, const char *title, const struct chart_bar *bars, size_t n)
{
    double most = 0, y = GAP;
    size_t groups = 0;

    for (size_t i = 0; i < n; i++) {
        most = bars[i].length > most ? bars[i].length : most;
        groups += *bars[i].label != '\0' ? 1 : 0;
    }
    buf_adds(out, "<figure><figcaption>");
    text_html(out, title);
    buf_addf(out, "</figcaption>\n<svg viewBox=\"0 0 %d %zu\" role=\"img\" aria-label=\"", WIDTH,
             n * HEIGHT + (groups + 1) * GAP);
    text_html(out, title);
    buf_adds(out, "\">\n");
    for (size_t i = 0; i < n; i++) {
        double w = most > 0 && bars[i].length > 0 ? bars[i].length / most * ROOM : 0;

        if (*bars[i].label != '\0') {
            y += i > 0 ? GAP : 0;
            add_text(out, LEFT - 8, y + HEIGHT - 4, "end", bars[i].label);
        }
        buf_addf(out,
                 "<rect class=\"s%u\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\"><title>",
                 bars[i].side, LEFT, y, w, HEIGHT - 3);
        text_html(out, bars[i].name);
        buf_adds(out, "</title></rect>\n");
        add_text(out, LEFT + w + 6, y + HEIGHT - 4, "start",
                 bars[i].length < 0 ? "not known" : bars[i].value);
        y += HEIGHT;
    }
    buf_adds(out, "</svg></figure>\n");
}
