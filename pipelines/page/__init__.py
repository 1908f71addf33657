"""The Models page: every project with its champion, quality, drift and next run, as plain values and as HTML.

`reading` knows the store and no HTML, `html` knows HTML and no store; neither knows the server that shows it
(`pipelines.runners.airflow_page`).
"""
