"""The HTML page of a ranking.

    Path("ranking.html").write_text(draw_page(ranking))

html    the page from its template ``ranking.html.j2``    chart   where dots and whiskers are drawn
"""
