"""Conversations in a corpus: detection of the schema of a dataset, and rows as turns.

    schema = detect_schema(columns, rows)
    read_turns(row, schema)            [Turn("user", "…"), Turn("assistant", "…")]

types      Turn, Conversation, ConversationError       schemas    the table of schemas, and the functions that use it
messages   roles, typed content, tool calls            detect     which schema the rows of a dataset follow
pairs      questions with answers, preferences         rows       conversations as the text field of a corpus
trees      trees of messages, depth first              learning_marks   which turns a model is not to learn
fields     columns and roles that a user names         written    messages in one string: Python lists, transcripts
"""
