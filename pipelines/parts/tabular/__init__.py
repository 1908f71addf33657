"""Building blocks for projects on tables. Import what you need from the modules below; each is light until it works.

::

    schema       Column, Rule, Schema: what a table must be, declared once
    project      TabularProject: most of the contract, from a schema
    codecs       Parquet for tables, Skops for models that cannot run code
    checks       the schema carried out: Pandera for rows, Great Expectations for the table, one report
    mutations    break a good table on purpose, one rule at a time
"""
